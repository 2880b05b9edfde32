/** How the demo shows the frames that it reads off the wire: one line an event, without its framing. */

/** Remembers an event's id until its data comes. */
export function showFrame(): (line: string) => string | undefined {
  let id = '';
  return (line) => {
    if (line.startsWith('id: ')) id = line.slice('id: '.length);
    if (line.startsWith('retry: ')) return line;
    if (!line.startsWith('data: ')) return undefined;
    const {
      symbol,
      price,
      n,
      type = price === undefined ? 'closed' : 'price',
    } = JSON.parse(line.slice('data: '.length));
    const text = type === 'price' ? `price #${n}  ${symbol ?? ''} ${price.toFixed(2)}` : 'the market is closed';
    return id ? `${text.padEnd(26)} id ${id}` : text;
  };
}
