import { MemoryFeed } from '../memory-feed.ts';
import { feedContract } from './contract.ts';

feedContract((options) => new MemoryFeed(options));
