console.warn("offscreen document", { isolated: crossOriginIsolated });
new Worker("nested.js");
