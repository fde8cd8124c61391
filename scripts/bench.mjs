/** `npm run bench`: compiles bench (with the sources it measures) and runs it. */

import { join } from 'node:path';
import { become, ensureBuilt, ensureInstalled, root } from './tools.mjs';

ensureInstalled();
ensureBuilt('bench');
become([join(root, 'dist-bench', 'bench', 'main.js'), ...process.argv.slice(2)]);
