import type { Stage } from '@patterns/kit/demo';
export async function runSound(_stage: Stage): Promise<void> {}
