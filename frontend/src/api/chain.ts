/** Where the browser reads the chain itself. */
import type { Schemas } from "./client";

/** The node's URL, null when the service names none. */
export function rpcUrlOf(chain: Schemas["ChainOut"] | undefined): string | null {
  const url = (chain as { rpc_url?: string | null } | undefined)?.rpc_url;
  if (url) return url;
  return chain?.chain_id === 31337 ? localStorage.getItem("bitwatt.rpc") : null;
}
