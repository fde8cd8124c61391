/**
 * HTML and SVG from template literals: every value that is not markup itself is escaped, so a name
 * can hold anything and stays text.
 */

export class Markup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export type Value = Markup | string | number | readonly Value[];

/** `markup`<b>${name}</b>``: the template is trusted, its values are not. */
export function markup(template: TemplateStringsArray, ...values: readonly Value[]): Markup {
  const parts = template.map((part, i) => (i === 0 ? part : render(values[i - 1]!) + part));
  return new Markup(parts.join(''));
}

export const nothing: Markup = new Markup('');

function render(value: Value): string {
  if (value instanceof Markup) return value.text;
  if (typeof value === 'object') return value.map(render).join('');
  return escapeText(String(value));
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

export function escapeText(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character]!);
}
