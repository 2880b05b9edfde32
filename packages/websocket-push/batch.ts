/** What leaves in one write: frames that became pending together, for one connection or for a thousand. */

// #region batch
/**
 * Frames in a row. Connections that wait for the same frames hold the same batch, and so its bytes are laid out in memory once:
 * whoever adds the frame that the last one added gets the batch that the last one got.
 */
export class Batch {
  readonly size: number;
  readonly #before: Batch | undefined;
  readonly #frame: Buffer;
  #next: Batch | undefined;
  #bytes: Buffer | undefined;

  constructor(frame: Buffer, before?: Batch) {
    this.#before = before;
    this.#frame = frame;
    this.size = frame.length + (before?.size ?? 0);
  }

  add(frame: Buffer): Batch {
    if (this.#next === undefined || this.#next.#frame !== frame) this.#next = new Batch(frame, this);
    return this.#next;
  }

  get bytes(): Buffer {
    if (this.#bytes) return this.#bytes;
    const frames = [this.#frame];
    for (let batch = this.#before; batch; batch = batch.#before) frames.push(batch.#frame);
    this.#bytes = Buffer.concat(frames.reverse(), this.size);
    return this.#bytes;
  }
}
// #endregion
