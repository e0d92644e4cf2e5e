// Shows the text of index.html for a browser that cannot run the page. The page replaces that text when it starts.
// Old browsers must be able to read this file: it has only syntax that all of them know.
(function () {
  var root = document.getElementById("root");
  var text = document.getElementById("unsupported");
  var connection = window.RTCPeerConnection;
  var supported =
    "noModule" in document.createElement("script") &&
    window.WebSocket &&
    window.fetch &&
    connection &&
    connection.prototype.addTransceiver &&
    window.WeakRef &&
    Array.prototype.at &&
    Object.hasOwn;

  function show() {
    text.removeAttribute("hidden");
  }

  if (!supported) {
    // Without this element the page does not start.
    root.removeAttribute("id");
    show();
    return;
  }
  // A browser may lack something else: then the text is still there some seconds after everything is loaded.
  window.addEventListener("load", function () {
    setTimeout(show, 3000);
  });
})();
