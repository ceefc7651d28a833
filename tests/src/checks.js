// What tests/src/checks.rs asks of a page. Each function returns the offenders as lines of text.
({
    /** Text that stands out too little: WCAG 2.2, 1.4.3 (4.5:1, large text 3:1), disabled controls exempt. */
    contrast() {
        const parse = (color) => {
            const [r, g, b, a = 1] = color.match(/[\d.]+/g).map(Number);
            return [r, g, b, a];
        };
        const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
        const luminance = (color) => {
            const [r, g, b] = color.slice(0, 3).map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const page = matchMedia("(prefers-color-scheme: dark)").matches ? [0, 0, 0, 1] : [255, 255, 255, 1];
        const behind = (element) => {
            const layers = [];
            for (let at = element; at; at = at.parentElement) layers.push(parse(getComputedStyle(at).backgroundColor));
            return layers.reduceRight((below, layer) => over(layer, below), page);
        };
        const offenders = [];
        const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        while (texts.nextNode()) {
            const text = texts.currentNode.textContent.trim();
            const element = texts.currentNode.parentElement;
            if (!text || !element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
            if (element.closest(".xterm, :disabled, [aria-disabled=true], script, style")) continue;
            const style = getComputedStyle(element);
            const ground = behind(element);
            const [one, two] = [luminance(over(parse(style.color), ground)), luminance(ground)];
            const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
            const size = parseFloat(style.fontSize);
            const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
            if (ratio < (large ? 3 : 4.5)) offenders.push(`${ratio.toFixed(2)}:1 "${text}" (${element.className || element.tagName})`);
        }
        return offenders;
    },
    /** What is cut off at the right or lies outside of the window. */
    overflow() {
        return [...document.body.querySelectorAll("*")]
            .filter((element) => element.checkVisibility() && !element.closest(".xterm, .scrolls, .visually-hidden"))
            .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
            .map((element) => `${element.tagName}.${element.className} ends at ${element.getBoundingClientRect().right}`);
    },
    /** Controls that the Tab key and arrow keys cannot reach. */
    unreachable() {
        const controls = "button, input, select, textarea, a[href], [role=tab], [role=option], [role=separator]";
        return [...document.querySelectorAll(controls)]
            .filter((element) => element.checkVisibility() && !element.disabled && !element.closest(".xterm"))
            // In a composite widget one element is in the Tab order, and arrow keys go to the others.
            .filter((element) => element.tabIndex < 0 && !element.closest("[role=toolbar], [role=listbox], [role=tablist], [role=menu]"))
            .map((element) => element.outerHTML.slice(0, 120));
    },
})
