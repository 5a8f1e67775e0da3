// The package as a project has it: packed by npm, unpacked into node_modules, beside what else it has.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const folder = fileURLToPath(new URL('..', import.meta.url));

export interface Project {
  dir: string;
  /** What the package has, by path. */
  files: string[];
  /** Writes a file of the project, and returns its path. */
  write(name: string, text: string): string;
  remove(): void;
}

/** A project that has the package, and of its own node_modules those named. */
export function install(...others: string[]): Project {
  const dir = mkdtempSync(join(tmpdir(), 'tickwire-'));
  const [packed] = JSON.parse(execFileSync('npm', ['pack', '--json', '--silent', `--pack-destination=${dir}`], { cwd: folder, encoding: 'utf8' }).replace(/^[^[]*/, '')) as { filename: string; files: { path: string }[] }[];
  const to = join(dir, 'node_modules/@tickwire/client');
  mkdirSync(to, { recursive: true });
  execFileSync('tar', ['-xzf', join(dir, readdirSync(dir).find((name) => name.endsWith('.tgz'))!), '--strip-components=1', '-C', to]);
  for (const name of others) {
    const link = join(dir, 'node_modules', name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(folder, 'node_modules', name), link);
  }
  const write = (name: string, text: string): string => {
    writeFileSync(join(dir, name), text);
    return join(dir, name);
  };
  write('package.json', '{ "type": "module" }');
  return { dir, files: packed!.files.map((f) => f.path).sort(), write, remove: () => rmSync(dir, { recursive: true }) };
}
