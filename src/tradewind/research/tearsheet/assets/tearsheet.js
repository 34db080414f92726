// Unpacks the plotting library from this very page, draws, and keeps dated plots on one range.
(async () => {
  const text = (id) => document.getElementById(id).textContent;
  const packed = Uint8Array.from(atob(text("library")), (c) => c.charCodeAt(0));
  const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const script = document.createElement("script");
  script.textContent = await new Response(unpacked).text();
  document.head.append(script);

  const charts = JSON.parse(text("charts"));
  const touch = matchMedia("(pointer: coarse)").matches;
  const config = { responsive: true, displayModeBar: false, displaylogo: false, showTips: false };
  const dated = [];
  for (const [id, { data, layout }] of Object.entries(charts)) {
    const plot = document.getElementById(id);
    if (layout.height) plot.style.height = layout.height + "px";
    // A finger scrolls the page; it would otherwise zoom whatever plot it lands on.
    if (touch) layout.dragmode = false;
    await Plotly.newPlot(plot, data, { ...layout, autosize: true }, config);
    if (layout.xaxis.type === "date") dated.push(plot);
  }
  let following = false;
  for (const plot of dated) {
    plot.on("plotly_relayout", async (change) => {
      const all = change["xaxis.autorange"];
      const range = change["xaxis.range[0]"] && [change["xaxis.range[0]"], change["xaxis.range[1]"]];
      if (following || !(all || range)) return;
      following = true;
      const others = dated.filter((other) => other !== plot);
      const same = all ? { "xaxis.autorange": true } : { "xaxis.range": range };
      await Promise.all(others.map((other) => Plotly.relayout(other, same)));
      following = false;
    });
  }
  // Paper is narrower, and there is no time to draw again: what is drawn is scaled.
  addEventListener("beforeprint", () => {
    for (const id of Object.keys(charts)) {
      const plot = document.getElementById(id);
      const { width, height } = plot._fullLayout;
      plot.style.setProperty("--shape", width + " / " + height);
      plot.querySelectorAll(".main-svg").forEach((svg) => svg.setAttribute("viewBox", `0 0 ${width} ${height}`));
    }
  });
})().catch((error) => {
  const notice = document.getElementById("failed");
  notice.style.display = "block";
  notice.append(" (" + error.message + ")");
});
