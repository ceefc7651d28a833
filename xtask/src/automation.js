// Run in panel.html?automation: `start` or `restart` boots one VM and reports what happens to it through the function
// `qemuwebEvent`, which the driver has bound. Console bytes travel as base64, in `data`.
globalThis.automation = {
  async start(vmId, profile, inputs, overrides) {
    await this.follow(vmId);
    const files = [...(this.input?.files ?? [])];
    await window.qemuweb.startVm(vmId, profile, inputs, overrides, files);
  },

  // Starts a VM again with what it was defined with.
  async restart(vmId) {
    await this.follow(vmId);
    await window.qemuweb.restartVm(vmId);
    window.qemuweb.watchVm(vmId);
  },

  async follow(vmId) {
    await window.qemuwebReady;
    await window.qemuweb.init();
    window.qemuweb.onEvent((event) => {
      if ((event.vmId ?? event.vm?.vmId ?? vmId) !== vmId) return;
      const { data, ...rest } = event;
      qemuwebEvent(JSON.stringify(data ? { ...rest, data: this.base64(data) } : rest));
    });
  },

  // The element that the driver puts the person's files into.
  fileInput() {
    this.input = document.createElement("input");
    this.input.type = "file";
    this.input.multiple = true;
    return this.input;
  },

  base64(bytes) {
    let binary = "";
    for (let i = 0; i < bytes.length; i += 0x8000) {
      binary += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
    }
    return btoa(binary);
  },

  type(vmId, base64) {
    window.qemuweb.sendSerialIn(vmId, Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)));
  },
};
