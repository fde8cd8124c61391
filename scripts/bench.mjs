/**
 * `npm run bench`, and with the argument `check` `npm run bench:check`: compiles bench (with the
 * sources it measures) and runs its program.
 */

import { become, ensureBuilt, ensureInstalled } from './tools.mjs';

const [first, ...rest] = process.argv.slice(2);
const isCheck = first === 'check';

ensureInstalled();
ensureBuilt('bench');
if (isCheck) await become('dist-bench/bench/check.js', rest);
else await become('dist-bench/bench/main.js', process.argv.slice(2));
