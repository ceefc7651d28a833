document.getElementById("button").addEventListener("click", (event) => {
  event.target.dataset.trusted = event.isTrusted;
});
