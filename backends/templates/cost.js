const specs = JSON.parse(document.getElementById("specs").textContent);
const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const painted = value => {
  if (typeof value === "string") return value.startsWith("var(--") ? colour(value.slice(4, -1)) : value;
  if (Array.isArray(value)) return value.map(painted);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, painted(each)]));
};
const draw = () => {
  for (const [key, spec] of Object.entries(specs)) {
    const { data, layout } = painted(spec);
    Plotly.react(key, data, layout, { displayModeBar: false, responsive: true });
  }
};
draw();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
