// Replaces the pictures of Firefox's fake devices: the camera shows the sender's mark, a frame number and its complement, each
// in a row of eight cells; a shared screen is the capture of the page's own tab.
({mark, width, height, fps}) => {
  const devices = navigator.mediaDevices;
  if (!devices) return;
  const original = devices.getUserMedia.bind(devices);

  const draw = (pen, number) =>
    [mark, number, 255 - number].forEach((value, row) => {
      for (let cell = 0; cell < 8; cell++) {
        pen.fillStyle = (value >> (7 - cell)) & 1 ? "#e1e1e1" : "#191919";
        pen.fillRect((cell * width) / 8, (row * height) / 3, width / 8, height / 3);
      }
    });

  const camera = () => {
    const canvas = Object.assign(document.createElement("canvas"), {width, height});
    const pen = canvas.getContext("2d");
    const [track] = canvas.captureStream(fps).getVideoTracks();
    let number = 0;
    const step = () => (track.readyState === "ended" ? clearInterval(timer) : draw(pen, number++ % 256));
    const timer = setInterval(step, 1000 / fps);
    draw(pen, 0);
    return track;
  };

  devices.getUserMedia = async constraints => {
    const stream = await original(constraints);
    for (const track of stream.getVideoTracks()) {
      stream.removeTrack(track);
      track.stop();
      stream.addTrack(camera());
    }
    return stream;
  };
  devices.getDisplayMedia = () => original({video: {mediaSource: "browser"}});
}
