/** What the payments of the queues benchmark run up against. */

/** A payment takes so long in a system that does so many at a time: 200 a second. */
export const WORK_MS = 20;
export const AT_A_TIME = 4;
export const CAPACITY = (AT_A_TIME * 1_000) / WORK_MS;

/** As many may wait, in either way: a second's work. */
export const MAY_WAIT = CAPACITY;
