// Reads JSON into a tree whose nodes know which characters they are, as msgpack.js does
// bytes, and says where a text is not JSON: what browsers say of that differs, and is
// often no place at all. A number's value is its text, which may be beyond 53 bits.

const SPACE = /[ \t\r\n]*/y;
const LEAVES = [
  ['string', /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y],
  ['number', /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y],
  ['word', /true|false|null/y],
];
const WORDS = { true: ['bool', true], false: ['bool', false], null: ['null', null] };
const DEPTH_MOST = 512;

/** Where a text is not JSON. */
export class NotJSON extends Error {
  constructor(text, at, what) {
    const lines = text.slice(0, at).split('\n');
    super(`line ${lines.length}, column ${lines.at(-1).length + 1}: ${what}`);
    this.at = at;
  }
}

/** The tree of a text, or NotJSON. */
export function readJSON(text) {
  let at = 0;

  const space = () => match(SPACE);
  const fail = (what) => { throw new NotJSON(text, at, what); };
  const due = (wanted) => fail(`${wanted} is due, not ${at < text.length ? String.fromCodePoint(text.codePointAt(at)) : 'the end'}`);

  function match(pattern) {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0];
    if (found !== undefined) at += found.length;
    return found;
  }

  function leaf(wanted, kinds = LEAVES) {
    const from = at;
    for (const [kind, pattern] of kinds) {
      const found = match(pattern);
      if (found === undefined) continue;
      if (kind === 'word') return { at: from, end: at, kind: WORDS[found][0], value: WORDS[found][1] };
      return { at: from, end: at, kind, value: kind === 'string' ? JSON.parse(found) : found };
    }
    return text[at] === '"' ? fail('a string that does not end, or has what must be escaped') : due(wanted);
  }

  function node(depth) {
    const open = text[at];
    if (open !== '{' && open !== '[') return leaf('a value');
    if (depth === DEPTH_MOST) fail('nested too deeply');
    const map = open === '{', close = map ? '}' : ']';
    const made = { at, end: at, kind: map ? 'object' : 'array', items: [] };
    at++;
    space();
    while (text[at] !== close || made.items.length) {
      if (map) {
        made.items.push(leaf(made.items.length ? 'a key in quotes' : 'a key in quotes or }', LEAVES.slice(0, 1)));
        space();
        if (text[at] !== ':') due('a colon');
        at++;
        space();
      }
      made.items.push(node(depth + 1));
      space();
      if (text[at] === close) break;
      if (text[at] !== ',') due(`a comma or ${close}`);
      at++;
      space();
    }
    at++;
    made.end = at;
    return made;
  }

  space();
  const root = node(0);
  space();
  if (at < text.length) due('the end');
  return root;
}
