/**
 * What the user service makes, and everybody may check without asking it: access tokens for customers (stateless-auth has their
 * form, and the paths /login, /signup and /token).
 */

/** How it calls itself in tokens: all its instances the same, wherever they run. */
export const ISSUER = 'https://users.food.example';

/** The one thing that a customer's token is good for. */
export const SCOPE = 'orders';

/** Whom service tokens for it are for. */
export const USER_AUDIENCE = 'user';
