/** Values of an axis that are said to build the same where a check builds them do. */
import { describe, expect, test } from 'vitest';
import { chooseAxes, designs } from '../../src/design/index.ts';
import { litmusFor } from '../../src/experiment/check/pieces.ts';
import { buildScene, checkedOf } from '../../src/experiment/check/scene.ts';
import { exploreStateful } from '../../src/schedule/explore/stateful.ts';

const pairs = designs.flatMap((design) =>
  Object.entries(design.axes).flatMap(([name, { alike = {} }]) =>
    Object.entries(alike).map(([value, like]) => [design, name, value, like] as const),
  ),
);

describe('axes', () => {
  test.each(pairs)('$id: values are alike ($1=$2, $3)', (design, name, value, like) => {
    const counts = [value, like].map((each) => {
      const choice = chooseAxes(design, `${name}=${each}`);
      const offered = Object.keys(checkedOf(choice)?.operations ?? {});
      const litmus = litmusFor(offered)[0]!;
      const { harts } = buildScene({ choice, litmus, order: 'tso', weaken: [] });
      const { states, steps, verdict } = exploreStateful(harts, {});
      return [states, steps, verdict];
    });
    expect(counts[0]).toEqual(counts[1]);
  });
});
