/** Lock profiles: pairing, nesting, and what straddles the measured part. */

import { expect, test } from 'vitest';
import { LockProfile } from './locks.ts';

const NAMES = ['outer', 'inner'];

function counting(): LockProfile {
  const profile = new LockProfile(2, NAMES);
  profile.begin(0);
  return profile;
}

test('locks: waits of contended acquisitions and takes of free ones are told apart', () => {
  const profile = counting();
  profile.want(0, 0, 100);
  profile.acquire(0, 0, 130, false);
  profile.want(1, 0, 120);
  profile.release(0, 0, 200);
  profile.acquire(1, 0, 310, true);
  profile.release(1, 0, 400);
  expect(profile.result(500)).toEqual([
    {
      name: 'outer',
      acquisitions: 2,
      contended: 1,
      waitCycles: 190,
      holdCycles: 70 + 90,
      maxWaitCycles: 190,
      takeCycles: 30,
    },
  ]);
});

test('locks: a handler may take the class that the code below it waits for', () => {
  const profile = counting();
  profile.want(0, 1, 10);
  profile.want(0, 1, 20);
  profile.acquire(0, 1, 25, false);
  profile.release(0, 1, 35);
  profile.acquire(0, 1, 110, true);
  profile.release(0, 1, 120);
  const [inner] = profile.result(120);
  expect(inner).toMatchObject({ acquisitions: 2, waitCycles: 100, takeCycles: 5, holdCycles: 20 });
});

test('locks: nested holds of one class end the latest first', () => {
  const profile = counting();
  for (const cycle of [10, 20]) {
    profile.want(0, 0, cycle);
    profile.acquire(0, 0, cycle, false);
  }
  profile.release(0, 0, 50);
  profile.release(0, 0, 100);
  expect(profile.result(100)[0]!.holdCycles).toBe(30 + 90);
});

test('locks: a hold across the beginning counts from there, one across the end up to there', () => {
  const profile = new LockProfile(2, NAMES);
  profile.acquire(0, 0, 50, false);
  profile.want(1, 1, 60);
  profile.begin(100);
  profile.release(0, 0, 130);
  profile.acquire(1, 1, 150, true);
  expect(profile.result(180)[1]).toMatchObject({ name: 'inner', holdCycles: 30 });
  profile.end(200);
  profile.release(1, 1, 900);
  expect(profile.result(900)).toEqual([
    expect.objectContaining({ name: 'outer', acquisitions: 0, holdCycles: 30 }),
    expect.objectContaining({ name: 'inner', acquisitions: 1, waitCycles: 50, holdCycles: 50 }),
  ]);
});

test('locks: a release without a hold, and an unknown class, are defects', () => {
  expect(() => counting().release(1, 0, 5)).toThrow('CPU 1 does not hold outer');
  expect(() => counting().want(0, 2, 5)).toThrow('no lock class 2 on CPU 0');
});
