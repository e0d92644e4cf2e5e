// Measures each second what arrives from every other participant: the frame in the remote video element and the tones in
// the stream of the remote audio element. Returns one object per second: {participant: {picture, tones, levels}}.
// Measuring starts when all participants in `names` have been heard, or after `patience` seconds: audio starts after video.
async ({names, seconds, tones, patience}) => {
  const canvas = document.createElement("canvas");
  canvas.width = 160;
  canvas.height = 90;
  const pen = canvas.getContext("2d", {willReadFrequently: true});
  const context = new AudioContext();
  await context.resume();
  const listeners = new Map();

  const listen = () => {
    for (const audio of document.querySelectorAll("audio[data-participant]")) {
      const stream = audio.srcObject;
      if (!stream || listeners.get(audio)?.stream === stream) continue;
      const analyser = context.createAnalyser();
      analyser.fftSize = 4096;
      analyser.smoothingTimeConstant = 0;
      context.createMediaStreamSource(stream).connect(analyser);
      listeners.set(audio, {stream, analyser, name: audio.dataset.participant});
    }
  };

  // Reads the middle of each cell; returns [mark, number], or null if the third row is not the complement of the second.
  const read = video => {
    if (!video.videoWidth) return null;
    pen.drawImage(video, 0, 0, 160, 90);
    const data = pen.getImageData(0, 0, 160, 90).data;
    const row = r => {
      let value = 0;
      for (let cell = 0; cell < 8; cell++) {
        let sum = 0;
        for (let y = r * 30 + 10; y < r * 30 + 20; y++) for (let x = cell * 20 + 6; x < cell * 20 + 14; x++) sum += data[(y * 160 + x) * 4 + 1];
        value = value * 2 + (sum / 80 > 125 ? 1 : 0);
      }
      return value;
    };
    const number = row(1);
    return row(2) === 255 - number ? [row(0), number] : null;
  };

  // Returns the level of each tone (dBFS), and the tone that is far louder than all others, or null.
  const hear = listener => {
    const spectrum = new Float32Array(listener.analyser.frequencyBinCount);
    listener.analyser.getFloatFrequencyData(spectrum);
    const bin = tone => Math.round((tone * listener.analyser.fftSize) / context.sampleRate);
    const levels = tones.map(tone => Math.max(...[-1, 0, 1].map(k => spectrum[bin(tone) + k])));
    const [first, second] = [...levels].sort((a, b) => b - a);
    const heard = first > -60 && first > second + 15 ? tones[levels.indexOf(first)] : null;
    return {levels, heard};
  };

  const heardOnce = new Set();
  const found = [];
  const start = performance.now();
  while (found.length < seconds) {
    const counting = names.every(name => heardOnce.has(name)) || performance.now() - start > patience * 1000;
    const second = {};
    const of = name => (second[name] ??= {picture: null, tones: {}, levels: {}});
    const end = performance.now() + (counting ? 1000 : 100);
    let sample = 0;
    do {
      listen();
      for (const listener of listeners.values()) {
        if (!listener.stream.active) continue;
        const {levels, heard} = hear(listener);
        const now = of(listener.name);
        tones.forEach((tone, n) => (now.levels[tone] = Math.round(Math.max(now.levels[tone] ?? -999, levels[n]))));
        if (heard === null) continue;
        now.tones[heard] = (now.tones[heard] ?? 0) + 1;
        heardOnce.add(listener.name);
      }
      if (sample++ % 4 === 0)
        for (const video of document.querySelectorAll('video[data-local="false"][data-source="camera"]')) {
          const picture = read(video);
          if (picture) of(video.dataset.participant).picture = picture;
        }
      await new Promise(resolve => setTimeout(resolve, 45));
    } while (performance.now() < end);
    if (counting) found.push(second);
  }
  await context.close();
  return found;
}
