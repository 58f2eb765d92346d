// Okabe and Ito's colours, told apart by all kinds of sight; viridis for amounts. Of both themes.
const SERIES_DARK = ["#56b4e9", "#e69f00", "#2bb894", "#cc79a7", "#4c8ed9", "#ef6c2a", "#f0e442"];
const SERIES_LIGHT = ["#0072b2", "#bd7a00", "#009e73", "#b3568b", "#2f8fc9", "#d55e00", "#8f8400"];
/** Beside colour: dashes, for lines. */
export const DASHES: number[][] = [[], [8, 3], [2, 3], [8, 3, 2, 3], [12, 4], [4, 4], [1, 2]];

export function series_colour(index: number, dark: boolean): string {
  const colours = dark ? SERIES_DARK : SERIES_LIGHT;
  return colours[index % colours.length]!;
}

export function other_colour(dark: boolean): string {
  return dark ? "#8493a5" : "#78869a";
}

const VIRIDIS = ["#440154", "#482878", "#3e4a89", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"];

/** Of a share from 0 to 1. */
export function viridis(share: number): string {
  const place = Math.min(1, Math.max(0, share)) * (VIRIDIS.length - 1);
  const low = Math.floor(place), high = Math.min(low + 1, VIRIDIS.length - 1);
  const mixed = [1, 3, 5].map((at) => {
    const from = parseInt(VIRIDIS[low]!.slice(at, at + 2), 16), to = parseInt(VIRIDIS[high]!.slice(at, at + 2), 16);
    return Math.round(from + (to - from) * (place - low)).toString(16).padStart(2, "0");
  });
  return `#${mixed.join("")}`;
}
