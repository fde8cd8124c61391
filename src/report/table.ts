/**
 * Tables of plain text: columns two spaces apart, headers in words on as many lines as they need.
 * One column, the first, gives way when the table gets wider than a terminal: its words go to the
 * next line.
 */

export interface Column {
  /** Lines of the header. */
  readonly title: string;
  readonly align?: 'left' | 'right';
}

export const TERMINAL_WIDTH = 118;
const GAP = '  ';
const NARROWEST = 12;

/** Rows of cells below their headers; every line ends without blanks. */
export function table(columns: readonly Column[], cells: readonly (readonly string[])[]): string {
  const rows = cells.map((row) => row.map(printable));
  const headers = columns.map((column) => column.title.split('\n'));
  const widths = columns.map((_, i) =>
    Math.max(...headers[i]!.map(width), ...rows.map((row) => width(row[i] ?? ''))),
  );
  const excess = total(widths) - TERMINAL_WIDTH;
  if (excess > 0) widths[0] = Math.max(NARROWEST, widths[0]! - excess);
  const align = (line: readonly string[]): string =>
    line
      .map((cell, i) => pad(cell, widths[i]!, columns[i]!.align ?? (i === 0 ? 'left' : 'right')))
      .join(GAP)
      .trimEnd();
  const height = Math.max(...headers.map((lines) => lines.length));
  const head = Array.from({ length: height }, (_, line) =>
    align(headers.map((lines) => lines[line - height + lines.length] ?? '')),
  );
  const body = rows.flatMap((row) => {
    if (row.length === 0) return ['']; // a gap between groups
    const [first = '', ...others] = row;
    const [lead = '', ...rest] = wrap(first, widths[0]!);
    return [align([lead, ...others]), ...rest.map((part) => `  ${part}`.trimEnd())];
  });
  return [...head, '-'.repeat(total(widths)), ...body].join('\n');
}

function total(widths: readonly number[]): number {
  return widths.reduce((sum, w) => sum + w, 0) + GAP.length * (widths.length - 1);
}

/** A name may hold anything; a terminal shall not obey it. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, '?');
}

function width(text: string): number {
  return [...text].length;
}

function pad(text: string, to: number, align: 'left' | 'right'): string {
  const blanks = ' '.repeat(Math.max(0, to - width(text)));
  return align === 'left' ? text + blanks : blanks + text;
}

/** Breaks after a blank, colon, comma or slash where there is one, else anywhere. */
export function wrap(text: string, to: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const piece of text.match(/[^ :,/]*[ :,/]|[^ :,/]+$/g) ?? ['']) {
    const room = to - (lines.length > 0 ? 2 : 0);
    if (line !== '' && width(line) + width(piece.trimEnd()) > room) {
      lines.push(line.trimEnd());
      line = '';
    }
    line += piece;
    while (width(line.trimEnd()) > to) {
      lines.push([...line].slice(0, to - 2).join(''));
      line = [...line].slice(to - 2).join('');
    }
  }
  return [...lines, line.trimEnd()];
}
