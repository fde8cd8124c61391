/**
 * Parts that a design is composed of, caught as they are made, so that a test can ask at quiescence
 * what the design keeps to itself. A test file mocks the modules it wants to watch:
 * `vi.mock(path, async (real) => (await import('./observed.ts')).watch(await real(), 'TdpMmu'))`.
 */
type Made = { readonly object: unknown; readonly args: readonly unknown[] };

const caught = new Map<string, Made[]>();

/** The module with a constructor that notes what it makes. */
export function watch<M extends object>(module: M, name: keyof M & string): M {
  const real = module[name] as new (...args: unknown[]) => object;
  const watched = class extends real {
    constructor(...args: unknown[]) {
      super(...args);
      caught.set(name, [...(caught.get(name) ?? []), { object: this, args }]);
    }
  };
  return { ...module, [name]: watched };
}

/** Forgets what was made so far. */
export function forget(): void {
  caught.clear();
}

/** Objects of a class in the order they were made, with what they were made from. */
export function madeOf<T>(
  name: string,
): { readonly object: T; readonly args: readonly unknown[] }[] {
  return (caught.get(name) ?? []) as { object: T; args: readonly unknown[] }[];
}
