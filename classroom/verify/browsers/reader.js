// Reads, second by second, what arrives from every other participant: the picture from the remote video element, the
// tones from the remote audio element's stream. Returns one object a second: {participant: {picture, tones, levels}}.
// Counting begins when everybody in `names` has been heard, or after `patience` seconds: sound starts after the picture.
async ({names, seconds, tones, patience}) => {
  const canvas = document.createElement("canvas");
  canvas.width = 160;
  canvas.height = 90;
  const pen = canvas.getContext("2d", {willReadFrequently: true});
  const context = new AudioContext();
  await context.resume();
  const ears = new Map();

  const listen = () => {
    for (const audio of document.querySelectorAll("audio[data-participant]")) {
      const stream = audio.srcObject;
      if (!stream || ears.get(audio)?.stream === stream) continue;
      const analyser = context.createAnalyser();
      analyser.fftSize = 4096;
      analyser.smoothingTimeConstant = 0;
      context.createMediaStreamSource(stream).connect(analyser);
      ears.set(audio, {stream, analyser, name: audio.dataset.participant});
    }
  };

  // The middle of each cell: [mark, number], or null where the third row is not the second one's complement.
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

  // The level of each tone (dB of full scale), and the one that is heard: far above all others, if any.
  const hear = ear => {
    const spectrum = new Float32Array(ear.analyser.frequencyBinCount);
    ear.analyser.getFloatFrequencyData(spectrum);
    const bin = tone => Math.round((tone * ear.analyser.fftSize) / context.sampleRate);
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
    let look = 0;
    do {
      listen();
      for (const ear of ears.values()) {
        if (!ear.stream.active) continue;
        const {levels, heard} = hear(ear);
        const now = of(ear.name);
        tones.forEach((tone, n) => (now.levels[tone] = Math.round(Math.max(now.levels[tone] ?? -999, levels[n]))));
        if (heard === null) continue;
        now.tones[heard] = (now.tones[heard] ?? 0) + 1;
        heardOnce.add(ear.name);
      }
      if (look++ % 4 === 0)
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
