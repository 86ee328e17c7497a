/** All readings of the interval at once, and the file to take home. */
import { useEffect, useRef, useState } from "react";
import { whole as count } from "../format";
import { usePreferences } from "../prefs";
import { Problem } from "../ui/act";
import { saveFile } from "../ui/file";
import { Badge, Card } from "../ui/kit";
import type { Material, Whole } from "./checks";
import type { Order, Report } from "./worker";

export function WholeInterval({ material }: { material: Material }) {
  const { text: t, language } = usePreferences();
  const [done, setDone] = useState<number | null>(null);
  const [result, setResult] = useState<Whole | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const worker = useRef<Worker | null>(null);
  useEffect(() => () => worker.current?.terminate(), []);
  const run = () => {
    setResult(null);
    setProblem(null);
    setDone(0);
    const started = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    worker.current = started;
    const end = (words: string | null) => {
      started.terminate();
      setProblem(words);
      setDone(null);
    };
    started.onerror = (event) => end(event.message || "worker");
    started.onmessage = ({ data }: MessageEvent<Report>) => {
      if ("done" in data) setDone(data.done);
      else if ("error" in data) end(data.error);
      else {
        setResult(data.result);
        end(null);
      }
    };
    started.postMessage({ data: material.data, onChain: material.onChain } satisfies Order);
  };
  const save = () => saveFile(`readings-${material.bundle.start}.cbor`, "application/cbor", material.data);
  const lines: [string, boolean][] = result
    ? [
        [t.evidence.allSigned(result.signatures, result.readings), result.signatures === result.readings],
        [t.evidence.rootOf, result.rootOk],
        [t.evidence.outcomesOf, result.outcomesOk],
        [t.evidence.totalsOf, result.totalsOk],
        [t.evidence.evidenceOf, result.evidenceOk],
      ]
    : [];
  return (
    <Card title={t.evidence.whole}>
      <p className="note">{t.evidence.wholeWhy(count(material.leaves.length, language))}</p>
      <div className="row">
        <button type="button" onClick={run} disabled={done !== null}>
          {done === null ? t.evidence.verifyAll : `${done} / ${material.leaves.length}`}
        </button>
        <button type="button" onClick={save}>
          {t.evidence.download}
        </button>
      </div>
      <Problem text={problem} />
      <ul className="results" aria-live="polite">
        {lines.map(([words, ok]) => (
          <li key={words}>
            <Badge tone={ok ? "good" : "bad"}>{ok ? "✓" : "✗"}</Badge> {words}
          </li>
        ))}
      </ul>
    </Card>
  );
}
