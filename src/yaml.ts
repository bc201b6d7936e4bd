import { parse, YAMLParseError } from 'yaml';

/** A text is no YAML. The sentence says where, and quotes nothing: key material or a credential may stand there. */
export class YamlError extends Error {
  override readonly name = 'YamlError';
}

/**
 * What YAML says.
 *
 * @throws YamlError
 */
export function parseYaml(text: string): unknown {
  try {
    return parse(text, { prettyErrors: false, logLevel: 'error' });
  } catch (error) {
    // oxlint-disable-next-line preserve-caught-error -- the parser's own message may quote the line
    throw new YamlError(reasonOf(error, text));
  }
}

function reasonOf(error: unknown, text: string): string {
  // An alias without its anchor, or too many of them.
  if (!(error instanceof YAMLParseError)) return 'it is not YAML';
  const line = text.slice(0, error.pos[0]).split('\n').length;
  return error.code === 'DUPLICATE_KEY' ? `line ${line} repeats a member` : `line ${line} is not YAML`;
}
