import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeTrace, encodeTrace, isTraceFile } from './format.ts';
import { type PageTrace, TraceBuilder, TraceError } from './page-trace.ts';

const unknown = { references: null, loads: null, stores: null, modifies: null };

function traceOf(lines: readonly (readonly [number, number, number])[]): PageTrace {
  const builder = new TraceBuilder(12, 16);
  for (const [kind, page, instructions] of lines) builder.append(kind, page, instructions);
  return builder.finish({ program: 'p', command: null, ...unknown });
}

const small = traceOf([
  [0, 0x401a, 1],
  [2, 0x1fff000, 200],
  [1, 0x401a, 0],
  [1, 0x401b, 70000],
]);

function failure(bytes: Uint8Array): string {
  try {
    decodeTrace(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(TraceError);
    return (error as TraceError).message;
  }
  return 'decoded';
}

/** `small` with its JSON header replaced; the body and its checksum stay. */
function withHeader(header: unknown): Uint8Array {
  const bytes = encodeTrace(small);
  const view = new DataView(bytes.buffer);
  const text = new TextEncoder().encode(
    typeof header === 'string' ? header : JSON.stringify(header),
  );
  const body = bytes.subarray(12 + view.getUint32(8, true));
  const changed = new Uint8Array(12 + text.length + body.length);
  changed.set(bytes.subarray(0, 12));
  changed.set(text, 12);
  changed.set(body, 12 + text.length);
  new DataView(changed.buffer).setUint32(8, text.length, true);
  return changed;
}

describe('trace file: round trip', () => {
  test('any trace comes back as it was', () => {
    const line = fc.tuple(
      fc.integer({ min: 0, max: 2 }),
      fc.oneof(fc.nat(300), fc.integer({ min: 0, max: 2 ** 36 }), fc.maxSafeNat().map(to52Bits)),
      fc.oneof(fc.nat(300), fc.integer({ min: 0, max: 2 ** 32 - 1 })),
    );
    const origin = fc.record({
      program: fc.string({ unit: 'binary' }),
      command: fc.option(fc.string()),
      references: fc.option(fc.maxSafeNat()),
      loads: fc.option(fc.maxSafeNat()),
      stores: fc.option(fc.maxSafeNat()),
      modifies: fc.option(fc.maxSafeNat()),
    });
    fc.assert(
      fc.property(fc.array(line), origin, fc.nat(65535), (lines, known, filter) => {
        const builder = new TraceBuilder(12, filter);
        for (const [kind, page, instructions] of lines) builder.append(kind, page, instructions);
        const trace = builder.finish(known);
        const decoded = decodeTrace(encodeTrace(trace));
        expect(decoded).toEqual(trace);
        const spelled = [...decoded.kinds].map((kind, at) => {
          return [kind, decoded.pageOf[decoded.pages[at]], decoded.instructions[at]];
        });
        expect(spelled).toEqual(lines);
      }),
    );
  });

  test('many lines and pages come back as they were', () => {
    const lines = Array.from({ length: 30_000 }, (_, at) => {
      return [at % 3, (at * 7919) % 20_000, at % 1000] as const;
    });
    const trace = traceOf(lines);
    expect(trace.header.pages).toBe(20_000);
    expect(decodeTrace(encodeTrace(trace))).toEqual(trace);
  });

  test('a trace inside a larger buffer is read', () => {
    const bytes = encodeTrace(small);
    const larger = new Uint8Array(bytes.length + 7);
    larger.set(bytes, 3);
    expect(decodeTrace(larger.subarray(3, 3 + bytes.length))).toEqual(small);
  });

  test('version 1 is these bytes', () => {
    const bytes = encodeTrace(small);
    const header = 12 + JSON.stringify(small.header).length;
    expect([...bytes.subarray(0, 8)]).toEqual([0x4b, 0x50, 0x54, 0x1a, 1, 12, 16, 0]);
    expect(JSON.parse(new TextDecoder().decode(bytes.subarray(12, header)))).toEqual({
      ...{ program: 'p', command: null, ...unknown },
      ...{ instructions: 70201, pages: 3, writtenPages: 1, lines: 4 },
    });
    // Pages 401a, +1ffafe6, -1ffafe5; then per line 4 * index + kind and the instructions.
    expect([...bytes.subarray(header, bytes.length - 4)]).toEqual([
      ...[0xb4, 0x80, 0x02, 0xcc, 0xbf, 0xfd, 0x1f, 0xc9, 0xbf, 0xfd, 0x1f],
      ...[0x00, 0x01, 0x06, 0xc8, 0x01, 0x01, 0x00, 0x09, 0xf0, 0xa2, 0x04],
    ]);
  });
});

function to52Bits(value: number): number {
  return Math.floor(value / 2);
}

describe('trace file: bad input', () => {
  const bytes = encodeTrace(small);

  test('every proper prefix is refused', () => {
    for (let length = 0; length < bytes.length; length++) {
      expect(failure(bytes.subarray(0, length)), `${length} bytes`).not.toBe('decoded');
    }
  });

  test('every changed byte is refused', () => {
    for (let at = 0; at < bytes.length; at++) {
      for (const flip of [0x01, 0x80, 0xff]) {
        // The filter size carries no redundancy but the checksum, like every other byte.
        const changed = bytes.slice();
        changed[at] ^= flip;
        expect(failure(changed), `byte ${at}, flipped by ${flip}`).not.toBe('decoded');
      }
    }
  });

  test('random bytes are refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (tail) => {
        expect(failure(tail)).not.toBe('decoded');
        expect(failure(Uint8Array.of(...bytes.subarray(0, 12), ...tail))).not.toBe('decoded');
      }),
    );
  });

  test('each sentence names the place', () => {
    const header = 12 + JSON.stringify(small.header).length;
    const changed = (at: number, value: number): Uint8Array => {
      const copy = bytes.slice();
      copy[at] = value;
      return copy;
    };
    expect(failure(new Uint8Array(40))).toMatch(/^byte 0: not a kpop trace/);
    expect(failure(bytes.subarray(0, 9))).toBe('the trace ends at byte 9, within its fixed header');
    expect(failure(bytes.subarray(0, 50))).toMatch(/^the trace ends at byte 50, but its header/);
    expect(failure(changed(4, 9))).toBe('byte 4: trace version 9, but this kpop reads 1');
    expect(failure(changed(5, 3))).toBe('byte 5: a page of 2^3 bytes, not 2^12 to 2^30');
    expect(failure(changed(12, 0))).toBe('byte 12: the trace header is not JSON');
    expect(failure(changed(header + 11, 3))).toBe(
      `byte ${header + 11}: line 1 of 4 has the unknown kind 3`,
    );
    expect(failure(changed(header + 13, 10))).toBe(
      `byte ${header + 13}: line 2 of 4 jumps to page 2, but 1 is next`,
    );
    expect(failure(changed(header + 14, 0xc7))).toMatch(
      /^byte \d+: the checksum says 0x[0-9a-f]{8}, but the bytes before give 0x[0-9a-f]{8}$/,
    );
    expect(failure(Uint8Array.of(...bytes, 0))).toMatch(/1 bytes too many after the last line$/);
    expect(failure(bytes.subarray(0, bytes.length - 3))).toMatch(/line 4 of 4 has no end/);
  });

  test('a header that lies is refused', () => {
    const told = small.header;
    expect(failure(withHeader('[]'))).toMatch(/is not a JSON object$/);
    expect(failure(withHeader({ ...told, lines: -1 }))).toMatch(/has no count "lines"$/);
    expect(failure(withHeader({ ...told, loads: 'many' }))).toMatch(/has no count "loads"$/);
    expect(failure(withHeader({ ...told, program: 1 }))).toMatch(/has no text "program"$/);
    expect(failure(withHeader({ ...told, command: undefined }))).toMatch(/no text "command"$/);
    expect(failure(withHeader({ ...told, lines: 2 ** 50 }))).toMatch(/more than the 22 bytes/);
    expect(failure(withHeader({ ...told, pages: 2 }))).not.toBe('decoded');
    expect(failure(withHeader({ ...told, lines: 3 }))).toMatch(/bytes too many/);
    expect(failure(withHeader({ ...told, instructions: 5 }))).toMatch(/says 5 instructions/);
  });

  test('more instructions than a line can hold are refused', () => {
    expect(() => traceOf([[0, 1, 2 ** 32]])).toThrow(/^line 1 of the trace would stand for/);
  });

  test('only a trace file looks like one', () => {
    expect(isTraceFile(bytes)).toBe(true);
    expect(isTraceFile(new Uint8Array(2))).toBe(false);
    expect(isTraceFile(new TextEncoder().encode('KPT file'))).toBe(false);
  });
});
