/** What stands between a buyer and a placed order: the first thing to be done, or none. Pure. */
export type Obstacle =
  | "closed"
  | "infeasible"
  | "connect"
  | "wrong-chain"
  | "sign-in"
  | "below-market"
  | "no-funds"
  | "approve"
  | "deposit"
  | "ready";

export interface Situation {
  /** the chain's clock and the start of the window, unix seconds */
  now: number;
  deadline: number;
  feasible: boolean;
  connected: boolean;
  walletChain: number | null;
  chain: number;
  signedIn: boolean;
  /** micro-units per VCU-slot */
  limit: number;
  price: number;
  /** micro-units */
  needed: bigint;
  available: bigint;
  inWallet: bigint;
  approved: bigint;
}

/** The first obstacle, in the order in which they can be removed. */
export function obstacleOf(s: Situation): Obstacle {
  if (s.deadline <= s.now) return "closed";
  if (!s.feasible) return "infeasible";
  if (!s.connected) return "connect";
  if (s.walletChain !== s.chain) return "wrong-chain";
  if (!s.signedIn) return "sign-in";
  if (s.limit < s.price) return "below-market";
  const missing = s.needed - s.available;
  if (missing <= 0n) return "ready";
  if (s.inWallet < missing) return "no-funds";
  return s.approved < missing ? "approve" : "deposit";
}

/** What the Treasury must hold for an order: it can cost its limit in every VCU-slot. */
export const neededFor = (limit: number, lanes: number, slots: number): bigint =>
  BigInt(limit) * BigInt(lanes) * BigInt(slots);

/** A limit a little above the market, so that a small move does not lose the order. */
export const suggestedLimit = (price: number): number => Math.ceil(price * 1.1);
