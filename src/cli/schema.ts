/** `kpop schema`: the JSON schemas of what `--json` prints. */
import { badInput } from '../base/bad-input.ts';
import { suggestion } from '../base/nearest.ts';
import { jsonSchemas } from '../report/schema.ts';
import { Status } from './failure.ts';
import { print } from './output.ts';

/** Prints the names of all documents, or the schema of one (`kpop.run/1`). */
export function runSchema(name: string | undefined): number {
  const texts = new Map([...jsonSchemas()].map(([file, text]) => [documentOf(file), text]));
  if (name === undefined) {
    print(`${[...texts.keys()].join('\n')}\n`);
    return Status.done;
  }
  const text = texts.get(name) ?? texts.get(documentOf(name));
  if (text === undefined) {
    return badInput(`no schema is called ${name}${suggestion(name, [...texts.keys()])}`);
  }
  print(text);
  return Status.done;
}

/** `kpop.run-1.json` is the file of `kpop.run/1`. */
function documentOf(file: string): string {
  return file.replace(/\.json$/, '').replace(/-(\d+)$/, '/$1');
}
