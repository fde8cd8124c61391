/** `npm start`: installs and builds what is missing or old, then runs kpop's main job. */

import { join } from 'node:path';
import { become, ensureBuilt, ensureInstalled, root } from './tools.mjs';

ensureInstalled();
ensureBuilt('product');
become([join(root, 'dist', 'cli', 'main.js'), 'start', ...process.argv.slice(2)]);
