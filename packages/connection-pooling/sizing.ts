/**
 * How large a pool should be: smaller than one thinks. A connection is a process on the database's machine; more of them
 * than it can run at once do not work faster, they take turns and get in each other's way.
 *
 * The formula says where to begin (PostgreSQL wiki, "Number Of Database Connections"); a measurement says where to end.
 */

export interface Sizing {
  /** Of the database's machine, not of ours. */
  databaseCores: number;
  /** Disks that seek at the same time; 1 for a solid-state disk, and about 0 when everything is in memory. */
  spindles?: number;
  /** Processes that have a pool of their own on that database. */
  replicas?: number;
}

// #region pool-size
/** Connections for one process: (cores × 2) + spindles in all, shared by its replicas; at least 1. */
export function poolSize({ databaseCores, spindles = 1, replicas = 1 }: Sizing): number {
  return Math.max(1, Math.floor((databaseCores * 2 + spindles) / replicas));
}

/**
 * How many processes with such a pool the server lets in; the next one is refused (SQLSTATE 53300).
 * @param reserved what is kept for superusers and others: `superuser_reserved_connections` + `reserved_connections`.
 */
export function replicasAllowed(size: number, { maxConnections = 100, reserved = 3 } = {}): number {
  return Math.floor((maxConnections - reserved) / size);
}
// #endregion
