/** One thing the visitor does: while it runs nothing else can be pressed; what went wrong stays on the page. */
import { useState } from "react";
import { useErrorText } from "./kit";

export interface Act {
  busy: boolean;
  problem: string | null;
  /** runs `work`; whether it ended well */
  act: (work: () => Promise<unknown>) => Promise<boolean>;
}

export function useAct(): Act {
  const words = useErrorText();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const act = async (work: () => Promise<unknown>) => {
    setBusy(true);
    setProblem(null);
    try {
      await work();
      return true;
    } catch (error) {
      setProblem(words(error));
      return false;
    } finally {
      setBusy(false);
    }
  };
  return { busy, problem, act };
}

export const Problem = ({ text }: { text: string | null }) =>
  text ? (
    <p className="decline" role="alert">
      {text}
    </p>
  ) : null;
