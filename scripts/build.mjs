/** `npm run build`: compiles src to dist, whether or not anything changed. */

import { ensureBuilt, ensureInstalled } from './tools.mjs';

ensureInstalled();
ensureBuilt('product', { force: true });
