/**
 * Finds the marked blocks of a chapter and puts other text between their marks. What comes from where is not known here
 * (`fill.ts`); what stands outside the marks is never touched.
 *
 *     <!-- code: server.ts#stream -->  ...  <!-- /code -->
 *     <!-- transcript -->  ...  <!-- /transcript -->
 *     <!-- bench -->  ...  <!-- /bench -->
 */

export type BlockKind = 'code' | 'transcript' | 'bench';

export interface Block {
  readonly kind: BlockKind;
  /** What stands in the mark behind the kind: `server.ts#stream`, or a digest, or nothing. */
  readonly argument: string;
  /** Of the opening mark, from 1. */
  readonly line: number;
  /** What stands between the marks, without the empty lines around it. */
  readonly body: string;
}

/** What a block is to be. */
export interface Filling {
  readonly argument: string;
  readonly body: string;
}

export interface Problem {
  readonly line: number;
  readonly message: string;
}

export interface Filled {
  readonly markdown: string;
  /** The blocks that were not as they should be. */
  readonly drifted: readonly Block[];
  /** Why some could not be filled: they stay as they were. */
  readonly problems: readonly Problem[];
}

const ANY_MARK = /^\s*<!--\s*\/?(?:code|transcript|bench)\b/;
const OPENING = /^<!-- (code|transcript|bench):? ?(\S*) ?-->$/;
const CLOSING = /^<!-- \/(code|transcript|bench) -->$/;

/** Fills every block with what `fill` gives; an error of `fill` becomes a problem at the block's line. */
export async function fillChapter(markdown: string, fill: (block: Block) => Promise<Filling>): Promise<Filled> {
  const lines = markdown.split('\n');
  const filled: string[] = [];
  const drifted: Block[] = [];
  const problems: Problem[] = [];
  let inFence = false;
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!;
    if (/^\s*```/.test(line)) inFence = !inFence;
    if (inFence || !ANY_MARK.test(line)) {
      filled.push(line);
      continue;
    }
    const end = closingMark(lines, i);
    if (typeof end === 'string') {
      problems.push({ line: i + 1, message: end });
      filled.push(line);
      continue;
    }
    const [, kind, argument = ''] = OPENING.exec(line)!;
    const body = trimLines(lines.slice(i + 1, end));
    const block: Block = { kind: kind as BlockKind, argument, line: i + 1, body };
    try {
      const wanted = await fill(block);
      if (wanted.body !== body || wanted.argument !== argument) drifted.push(block);
      filled.push(openingMark(block.kind, wanted.argument), '', wanted.body, '', lines[end]!);
    } catch (error) {
      problems.push({ line: i + 1, message: (error as Error).message });
      filled.push(...lines.slice(i, end + 1));
    }
    i = end;
  }
  return { markdown: filled.join('\n'), drifted, problems };
}

/** The index of the mark that closes the one at `start`, or what is wrong. */
function closingMark(lines: readonly string[], start: number): number | string {
  const [, kind] = OPENING.exec(lines[start]!) ?? [];
  const [, closed] = CLOSING.exec(lines[start]!) ?? [];
  if (closed) return `<!-- /${closed} --> closes nothing`;
  if (!kind) return `this mark cannot be read: ${lines[start]!.trim()}`;
  for (let i = start + 1; i < lines.length; i++) {
    if (CLOSING.exec(lines[i]!)?.[1] === kind) return i;
    if (OPENING.test(lines[i]!)) break;
  }
  return `this mark is never closed: <!-- /${kind} --> is missing`;
}

function openingMark(kind: BlockKind, argument: string): string {
  if (kind === 'code') return `<!-- code: ${argument} -->`;
  return argument ? `<!-- ${kind} ${argument} -->` : `<!-- ${kind} -->`;
}

function trimLines(lines: readonly string[]): string {
  return lines.join('\n').replace(/^\s*\n|\s+$/g, '');
}
