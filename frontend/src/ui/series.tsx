/** Lines of steps over one axis of slots. */
import { usePreferences } from "../prefs";
import { stepPath, ticks, useWidth } from "./chart";

export interface Line {
  name: string;
  /** a class that sets the colour */
  tone: string;
  values: (number | null)[];
}

export function SeriesChart(props: {
  label: string;
  series: Line[];
  at: (index: number) => string;
  amount: (value: number) => string;
  height?: number;
}) {
  const { series, height = 200 } = props;
  usePreferences();
  const [ref, width] = useWidth<HTMLDivElement>();
  const left = 64;
  const all = series.flatMap((line) => line.values.filter((value) => value !== null));
  const [low, high] = [Math.min(0, ...all), Math.max(1, ...all)];
  const count = Math.max(...series.map((line) => line.values.length), 1);
  const x = (index: number) => left + (index / count) * (width - left - 8);
  const y = (value: number) => 8 + ((high - value) / (high - low)) * (height - 34);
  const marks = [0, 0.25, 0.5, 0.75].map((part) => Math.round(part * count));
  return (
    <figure ref={ref} className="figure">
      <svg className="plot" viewBox={`0 0 ${width} ${height}`} role="img" aria-label={props.label}>
        {ticks(low, high, 3).map((value) => (
          <g key={value}>
            <line className="grid" x1={left} x2={width - 8} y1={y(value)} y2={y(value)} />
            <text x={left - 8} y={y(value) + 4} textAnchor="end">
              {props.amount(value)}
            </text>
          </g>
        ))}
        {marks.map((index) => (
          <text key={index} x={x(index)} y={height - 6}>
            {props.at(index)}
          </text>
        ))}
        {series.map((line) => (
          <path key={line.name} className={`curve ${line.tone}`} d={stepPath(line.values, x, y)} />
        ))}
      </svg>
      <ul className="legend">
        {series.map((line) => (
          <li key={line.name}>
            <i className={line.tone} />
            {line.name}
          </li>
        ))}
      </ul>
    </figure>
  );
}
