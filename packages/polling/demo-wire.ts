/** How the demo shows polls: what a side has just said, and says again, is counted and not repeated. */
import { Story } from '@patterns/kit/story';

/** A story whose wire leaves out the repetitions, and tells how many they were as soon as something else is said. */
export class FoldedWire extends Story {
  readonly #story: Story;
  readonly #said = new Map<string, string>();
  #repeated = 0;
  /** Answers without a body, shown or not. */
  notModified = 0;

  constructor(story: Story) {
    super(['']);
    this.#story = story;
  }

  override wire(from: string, to: string, text: string): void {
    // A message has a head and, perhaps, a body: each is compared with the last one of its kind.
    const isBody = text.startsWith('{');
    if (text.startsWith('304')) this.notModified += 1;
    const key = `${from} ${isBody}`;
    if (this.#said.get(key) === text) {
      if (!isBody) this.#repeated += 1;
      return;
    }
    this.tellRepeated();
    this.#said.set(key, text);
    this.#story.wire(from, to, text);
  }

  /** Tells what was left out so far. */
  tellRepeated(): void {
    if (this.#repeated > 0)
      this.#story.act('', `(the same again, ${this.#repeated === 1 ? 'once' : `${this.#repeated} times`})`);
    this.#repeated = 0;
  }
}
