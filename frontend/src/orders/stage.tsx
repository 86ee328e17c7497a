/** Where an order stands. */

import type { Schemas } from "../api/client";
import { usePreferences } from "../prefs";

type State = Schemas["OrderOut"]["state"];
const PATH = ["open", "cleared", "delivering", "settled"] as const;
const ENDS: readonly State[] = ["cancelled", "expired", "refunded"];

/** How many stages of the path are reached; an order in clearing is past being open only. */
export const reached = (state: State): number =>
  state === "clearing" ? 1 : state === "refunded" ? 3 : Math.max(PATH.indexOf(state as (typeof PATH)[number]) + 1, 1);

export function StageBar({ state }: { state: State }) {
  const { text: t } = usePreferences();
  const done = reached(state);
  const stages: State[] = ENDS.includes(state) ? [...PATH.slice(0, done), state] : [...PATH];
  return (
    <ol className="stages" aria-label={t.order.stage}>
      {stages.map((stage, index) => {
        const now = stage === state || (state === "clearing" && stage === "open");
        const tone = now && ENDS.includes(stage) ? "bad" : index < done ? "done" : "";
        return (
          <li key={stage} className={tone} aria-current={now ? "step" : undefined}>
            {t.order.state[now ? state : stage]}
          </li>
        );
      })}
    </ol>
  );
}
