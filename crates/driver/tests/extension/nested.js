console.error("nested worker"); setTimeout(() => { throw new Error("thrown in the worker"); });
