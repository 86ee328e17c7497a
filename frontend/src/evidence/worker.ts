/** Checks a whole interval off the page's thread, so that ten thousand signatures freeze nothing. */

import type { Bytes } from "../wire/bytes";
import type { OnChain } from "./chain";
import { checkWhole, materialOf, type Whole } from "./checks";

export interface Order {
  data: Bytes;
  onChain: OnChain | null;
}
export type Report = { done: number } | { result: Whole } | { error: string };

const say = (report: Report) => postMessage(report);

addEventListener("message", async ({ data }: MessageEvent<Order>) => {
  try {
    const material = materialOf(data.data, data.onChain);
    say({ result: await checkWhole(material, (done) => say({ done })) });
  } catch (error) {
    say({ error: error instanceof Error ? error.message : String(error) });
  }
});
