/** `npm run schema`: writes the JSON Schema of every published document to schema/. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { jsonSchemas } from '../src/report/schema.ts';

const FOLDER = 'schema';

export function main(): void {
  mkdirSync(FOLDER, { recursive: true });
  for (const [name, text] of jsonSchemas()) writeFileSync(join(FOLDER, name), text);
}
