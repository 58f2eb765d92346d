import { useEffect, useRef, useState } from "preact/hooks";

/** Of an element, in CSS pixels, as it changes. */
export function useWidth(otherwise: number) {
  const element = useRef<HTMLElement>(null);
  const [width, set_width] = useState(otherwise);
  useEffect(() => {
    const observer = new ResizeObserver(() => {
      if (element.current && element.current.clientWidth > 0) set_width(element.current.clientWidth);
    });
    observer.observe(element.current!);
    return () => observer.disconnect();
  }, []);
  return { element, width };
}
