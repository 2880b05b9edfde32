/**
 * What is asked for: many small things at once, which is where one connection with many lanes pays.
 *
 *     GET  /resource1, /resource2    { "data": "Resource 1" }
 *     GET  /items/1 .. /items/100    { "item": 7, "name": "lane 7" }: some 30 bytes
 *     GET  /page                     HTML that loads all hundred of them
 *     GET  /event-sources            HTML that opens ten event streams
 *     GET  /download                 8 MiB, no faster than the client reads
 *     GET  /events                   a server-sent event each second, until the client leaves
 *     POST /uploads                  { "bytes": 1048576 }: what was counted
 *     GET  /metrics, /live
 *
 * None of it knows the HTTP version: methods, paths, fields and bodies are the same in both [RFC 9110]; only their framing is
 * another [RFC 9112, RFC 9113].
 */

export const RESOURCES: Readonly<Record<string, { readonly data: string }>> = {
  '/resource1': { data: 'Resource 1' },
  '/resource2': { data: 'Resource 2' },
};

export const ITEMS = 100;
export const PAGE = '/page';
export const EVENT_SOURCES = '/event-sources';
export const DOWNLOAD = '/download';
export const EVENTS = '/events';
export const UPLOADS = '/uploads';
export const METRICS = '/metrics';
export const LIVE = '/live';

/** 128 times the window of a stream: nobody's buffers hold all of it. */
export const DOWNLOAD_BYTES = 8 * 1024 * 1024;

export interface Item {
  readonly item: number;
  readonly name: string;
}

/** The path of an item, counted from 1 to `ITEMS`. */
export function itemPath(item: number): string {
  return `/items/${item}`;
}

export function encodeItem(item: number): string {
  return JSON.stringify({ item, name: `lane ${item}` } satisfies Item);
}
