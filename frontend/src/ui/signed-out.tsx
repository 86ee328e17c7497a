/** What stands where a page needs to know who is here. */
import { useText } from "../prefs";
import { useWallet } from "../wallet/context";
import { Problem, useAct } from "./act";
import { Empty } from "./kit";

export function SignedOut({ title }: { title: string }) {
  const t = useText();
  const { address, choose, signIn } = useWallet();
  const { busy, problem, act } = useAct();
  return (
    <>
      <Empty title={title}>
        <button
          type="button"
          className="primary"
          disabled={busy}
          onClick={() => (address ? act(signIn) : choose(true))}
        >
          {address ? t.order.obstacle["sign-in"]("") : t.wallet.connect}
        </button>
      </Empty>
      <Problem text={problem} />
    </>
  );
}
