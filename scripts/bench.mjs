/** `npm run bench`: compiles bench (with the sources it measures) and runs it. */

import { become, ensureBuilt, ensureInstalled } from './tools.mjs';

ensureInstalled();
ensureBuilt('bench');
await become('dist-bench/bench/main.js', process.argv.slice(2));
