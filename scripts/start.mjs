/** `npm start`: installs and builds what is missing or old, then runs kpop's main job. */

import { become, ensureBuilt, ensureInstalled } from './tools.mjs';

ensureInstalled();
ensureBuilt('product');
await become('dist/cli/main.js', ['start', ...process.argv.slice(2)]);
