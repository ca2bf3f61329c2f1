'use strict';

const VIEWS = {front: [-90, 4], side: [0, 4], back: [90, 4], above: [-90, 80]};  // azimuth and elevation in degrees
const KEYS = {  // change of azimuth and elevation in degrees, factor on the distance
  ArrowLeft: [-10, 0, 1], ArrowRight: [10, 0, 1], ArrowUp: [0, 10, 1], ArrowDown: [0, -10, 1],
  '+': [0, 0, 0.9], '-': [0, 0, 1 / 0.9],
};
const GRID = 0.001;  // metres, as the meshes were packed
const ORIGIN = {x: 0, y: 0, z: 0};
const DEGREE = Math.PI / 180;
const LIGHTING = {ambient: 0.45, diffuse: 0.75, specular: 0.12, roughness: 0.6, fresnel: 0.05};
const cssColor = name => getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim();
const darkMode = matchMedia('(prefers-color-scheme: dark)');

/** base64 of gzip -> bytes. */
async function inflate(text) {
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Packed meshes of some frames -> for every frame an Int16Array of x, y, z of all vertices, in units of GRID. */
function unpack(bytes, frames) {
  const total = bytes.length / 2;
  const perFrame = total / frames;
  const positions = new Int16Array(total);
  for (let k = 0; k < total; k++) {
    const step = bytes[k] | bytes[total + k] << 8;  // the Int16Array restores its sign
    positions[k] = k < perFrame ? step : step + positions[k - perFrame];
  }
  return Array.from({length: frames}, (_, t) => positions.subarray(t * perFrame, (t + 1) * perFrame));
}

/** Smallest and largest value along each axis over all frames of all bodies, in metres. */
function boundsOf(bodies) {
  const low = [Infinity, Infinity, Infinity];
  const high = [-Infinity, -Infinity, -Infinity];
  for (const frames of bodies) for (const positions of frames) {
    for (let k = 0; k < positions.length; k++) {
      const axis = k % 3;
      const value = positions[k] * GRID;
      if (value < low[axis]) low[axis] = value;
      if (value > high[axis]) high[axis] = value;
    }
  }
  return {low, high};
}

/** The player of one sequence; `index` counts the frames that video and meshes show. */
class Track {
  constructor(article, common) {
    this.article = article;
    this.common = common;
    this.find = name => article.querySelector(name);
    this.data = JSON.parse(this.find('.data').textContent);
    this.count = this.data.shown.length;
    this.index = 0;
    this.playing = false;
    this.video = this.find('video');
    this.image = this.find('img.video');
    this.roles = [...article.querySelectorAll('.mesh')].map(element => element.dataset.role);
    this.hiddenRoles = new Set();
    this.errorNames = Object.keys(this.data.errors);
    this.listen();
  }

  listen() {
    const {find} = this;
    find('.play').onclick = () => this.playing ? this.pause() : this.play();
    find('.time').oninput = event => { this.pause(); this.seek(+event.target.value); };
    find('.speed').onchange = () => { if (this.video) this.video.playbackRate = +find('.speed').value; };
    find('.error').replaceChildren(...this.errorNames.map(name => new Option(name, name)));
    find('.error').onchange = () => { this.drawErrors(); this.updateStatus(); };
    find('.together').onchange = () => this.drawBodies();
    for (const button of this.article.querySelectorAll('[data-view]'))
      button.onclick = () => this.setView(...VIEWS[button.dataset.view]);
    for (const button of this.article.querySelectorAll('.seek'))
      button.onclick = () => { this.pause(); this.seek(+button.dataset.at); find('.bar').scrollIntoView(); };
    find('.scene').onkeydown = event => this.onSceneKey(event);
    find('.shapes').replaceChildren(...this.roles.map(role => this.visibilityToggle(role)));
    if (this.video) {
      this.video.controls = false;
      this.video.onclick = () => find('.play').click();
      this.video.onerror = () => {
        find('.views figcaption').append(' This browser cannot play the video.');
        this.video = null;
      };
    }
  }

  visibilityToggle(role) {
    const label = document.createElement('label');
    const checkbox = document.createElement('input');
    checkbox.type = 'checkbox';
    checkbox.checked = true;
    checkbox.onchange = () => {
      if (checkbox.checked) this.hiddenRoles.delete(role);
      else this.hiddenRoles.add(role);
      this.drawBodies();
    };
    const dot = document.createElement('span');
    dot.className = 'dot';
    dot.style.background = `var(--skin-${role})`;
    label.append(checkbox, ' ', dot, this.common.rows[role] || role);
    return label;
  }

  async show() {
    this.article.hidden = false;
    if (!this.bodies) {
      const packed = [...this.article.querySelectorAll('.mesh')];
      const unpacked = await Promise.all(packed.map(element => inflate(element.textContent)));
      this.bodies = unpacked.map(bytes => unpack(bytes, this.count));
      this.bounds = boundsOf(this.bodies);
    }
    this.drawErrors();
    await this.drawBodies();
    this.seek(this.index);
  }

  hide() {
    this.pause();
    Plotly.purge(this.find('.scene'));  // browsers allow few WebGL contexts
    Plotly.purge(this.find('.plot'));
    this.article.hidden = true;
  }

  play() {
    this.playing = true;
    if (this.index === this.count - 1) this.seek(0);
    if (this.video) this.video.play();
    this.clock = this.index;
    this.lastTick = performance.now();
    this.updatePlayButton();
    requestAnimationFrame(now => this.tick(now));
  }

  pause() {
    if (!this.playing) return;
    this.playing = false;
    if (this.video) {
      this.video.pause();
      this.draw(this.videoIndex());  // drawing bodies may lag behind the video
    }
    this.updatePlayButton();
  }

  videoIndex() {
    return Math.min(this.count - 1, Math.floor(this.video.currentTime * this.data.fps + 0.01));
  }

  updatePlayButton() {
    this.find('.play').textContent = this.playing ? 'Pause' : 'Play';
    this.find('.play').setAttribute('aria-pressed', this.playing);
  }

  /** Follows the video, or a clock if there is no video. */
  tick(now) {
    if (!this.playing) return;
    this.clock += (now - this.lastTick) / 1000 * this.data.fps * this.find('.speed').value;
    this.lastTick = now;
    const index = this.video ? this.videoIndex() : Math.floor(this.clock % this.count);
    if (index !== this.index) this.draw(index);
    requestAnimationFrame(next => this.tick(next));
  }

  seek(index) {
    if (this.video) this.video.currentTime = (index + 0.5) / this.data.fps;
    this.draw(index);
  }

  draw(index) {
    this.index = index;
    this.find('.time').value = index;
    if (this.image) this.image.src = this.data.images[index];
    this.updateStatus();
    if (this.find('.scene').data) Plotly.restyle(this.find('.scene'), this.currentVertices());
    if (this.find('.plot').data) {
      const frame = this.data.shown[index];
      Plotly.relayout(this.find('.plot'), {'shapes[0].x0': frame, 'shapes[0].x1': frame});
    }
  }

  updateStatus() {
    const frame = this.data.shown[this.index];
    const name = this.find('.error').value;
    const known = Object.entries(this.data.errors[name] || {}).filter(([, values]) => values[frame] !== null);
    const errors = known.map(([role, values]) => `${this.common.rows[role]} ${values[frame].toFixed(1)}`).join(', ');
    const text = `frame ${frame} of ${this.data.frameIds.length} (${this.data.frameIds[frame]})`
      + (errors && ` · ${name}: ${errors}`);
    this.find('.now').textContent = text;
    this.find('.time').setAttribute('aria-valuetext', text);
  }

  visibilities() {
    return this.roles.map(role => !this.hiddenRoles.has(role));
  }

  /** Horizontal offset of each body in metres; hidden bodies leave no gap. */
  offsets() {
    const step = this.find('.together').checked ? 0 : 0.75 * (this.bounds.high[0] - this.bounds.low[0]);
    let visibleBodies = 0;
    return this.visibilities().map(visible => step * (visible ? visibleBodies++ : 0));
  }

  /** The vertices of the current frame. Plotly's z is up: x, y, z of a body become x, -z, y. */
  currentVertices() {
    const offsets = this.offsets();
    const vertices = {x: [], y: [], z: []};
    this.bodies.forEach((frames, row) => {
      const positions = frames[this.index];
      const count = positions.length / 3;
      const x = new Float32Array(count);
      const y = new Float32Array(count);
      const z = new Float32Array(count);
      for (let k = 0; k < count; k++) {
        x[k] = positions[3 * k] * GRID + offsets[row];
        y[k] = -positions[3 * k + 2] * GRID;
        z[k] = positions[3 * k + 1] * GRID;
      }
      vertices.x.push(x);
      vertices.y.push(y);
      vertices.z.push(z);
    });
    return vertices;
  }

  drawBodies() {
    const {x, y, z} = this.currentVertices();
    const visibilities = this.visibilities();
    const [i, j, k] = [0, 1, 2].map(corner => this.common.faces.map(face => face[corner]));
    const meshes = this.roles.map((role, row) => ({
      type: 'mesh3d', name: this.common.rows[role] || role, x: x[row], y: y[row], z: z[row], i, j, k,
      color: cssColor(`skin-${role}`), lighting: LIGHTING, lightposition: {x: -2000, y: -4000, z: 4000},
      hoverinfo: 'skip', flatshading: false, visible: visibilities[row],
    }));
    const layout = {
      margin: {l: 0, r: 0, t: 0, b: 0}, paper_bgcolor: cssColor('paper'), showlegend: false,
      scene: this.sceneLayout(),
    };
    const options = {displaylogo: false, displayModeBar: false, responsive: true, scrollZoom: true};
    return Plotly.react(this.find('.scene'), meshes, layout, options).then(plot => {
      plot.removeAllListeners('plotly_relayout');
      plot.on('plotly_relayout', change => this.onDrag(change['scene.camera']));
    });
  }

  sceneLayout() {
    const {low, high} = this.bounds;
    const ranges = [[low[0], high[0] + Math.max(...this.offsets())], [-high[2], -low[2]], [low[1], high[1]]];
    const lengths = ranges.map(([from, to]) => Math.max(to - from, 0.01));
    const axis = range => ({range, autorange: false, visible: false});
    const aspect = this.find('.scene').clientWidth / this.find('.scene').clientHeight;
    const unit = Math.max(lengths[0] / (1.05 * aspect), 1.1 * lengths[2]);  // metres per unit of Plotly's camera
    this.camera = this.camera || {azimuth: VIEWS.front[0], elevation: VIEWS.front[1], distance: 1.3};
    return {
      xaxis: axis(ranges[0]), yaxis: axis(ranges[1]), zaxis: axis(ranges[2]), aspectmode: 'manual',
      aspectratio: {x: lengths[0] / unit, y: lengths[1] / unit, z: lengths[2] / unit},
      dragmode: 'turntable', camera: this.plotlyCamera(),
    };
  }

  plotlyCamera() {
    const {distance} = this.camera;
    const azimuth = this.camera.azimuth * DEGREE;
    const elevation = this.camera.elevation * DEGREE;
    const horizontal = distance * Math.cos(elevation);
    const eye = {
      x: horizontal * Math.cos(azimuth), y: horizontal * Math.sin(azimuth), z: distance * Math.sin(elevation),
    };
    return {eye, up: {x: 0, y: 0, z: 1}, center: ORIGIN};
  }

  onDrag(camera) {
    if (!camera) return;
    const {x, y, z} = camera.eye;
    const distance = Math.hypot(x, y, z);
    this.camera = {azimuth: Math.atan2(y, x) / DEGREE, elevation: Math.asin(z / distance) / DEGREE, distance};
  }

  setView(azimuth, elevation, distance = this.camera.distance) {
    this.camera = {azimuth, elevation: Math.max(-85, Math.min(85, elevation)), distance};
    Plotly.relayout(this.find('.scene'), {'scene.camera': this.plotlyCamera()});
  }

  onSceneKey(event) {
    const change = KEYS[event.key];
    if (!change) return;
    event.preventDefault();
    const {azimuth, elevation, distance} = this.camera;
    this.setView(azimuth + change[0], elevation + change[1], distance * change[2]);
  }

  drawErrors() {
    const name = this.find('.error').value;
    const {rows} = this.common;
    const lines = Object.entries(this.data.errors[name] || {}).map(([role, y]) => ({
      type: 'scatter', mode: y.length > 1 ? 'lines' : 'markers', name: rows[role], y, text: this.data.frameIds,
      line: {color: cssColor(role), width: 2, dash: role === 'before' ? 'dot' : 'solid'},
      hovertemplate: `%{y:.1f} (%{text})<extra>${rows[role].replace(/[<>&]/g, '')}</extra>`,
    }));
    const grid = {gridcolor: cssColor('line'), linecolor: cssColor('line'), zeroline: false};
    const frame = this.data.shown[this.index];
    const marker = {
      type: 'line', x0: frame, x1: frame, y0: 0, y1: 1, yref: 'paper', line: {color: cssColor('ink'), width: 1},
    };
    const layout = {
      margin: {l: 56, r: 12, t: 28, b: 40}, paper_bgcolor: cssColor('card'), plot_bgcolor: cssColor('card'),
      font: {color: cssColor('ink'), size: 13}, hovermode: 'x unified', showlegend: true,
      hoverlabel: {bgcolor: cssColor('paper'), bordercolor: cssColor('line'), font: {color: cssColor('ink')}},
      legend: {orientation: 'h', x: 0, y: 1.16},
      xaxis: {...grid, title: {text: 'frame'}}, yaxis: {...grid, title: {text: name}, rangemode: 'tozero'},
      shapes: [marker],
    };
    const options = {displaylogo: false, displayModeBar: false, responsive: true};
    Plotly.react(this.find('.plot'), lines, layout, options).then(plot => {
      plot.removeAllListeners('plotly_click');
      plot.on('plotly_click', event => { this.pause(); this.seek(this.nearestIndex(event.points[0].x)); });
    });
  }

  nearestIndex(frame) {
    const distances = this.data.shown.map(shown => Math.abs(shown - frame));
    return distances.indexOf(Math.min(...distances));
  }
}

async function start() {
  const common = JSON.parse(document.getElementById('common').textContent);
  const tracks = [...document.querySelectorAll('.track')].map(article => new Track(article, common));
  const chooser = document.getElementById('chosen');
  tracks.forEach(track => { track.article.hidden = true; });
  const script = document.createElement('script');
  script.textContent = new TextDecoder().decode(await inflate(document.getElementById('plotly').textContent));
  document.head.append(script);
  let current = null;
  const choose = async () => {
    if (current) current.hide();
    current = tracks[+chooser.value];
    if (current) await current.show();
  };
  chooser.onchange = choose;
  const redraw = () => { if (current) { current.drawErrors(); current.drawBodies(); } };
  darkMode.addEventListener('change', redraw);
  addEventListener('resize', redraw);
  await choose();
  document.documentElement.dataset.ready = 'yes';
}

start().catch(error => {
  const problem = document.getElementById('problem');
  problem.textContent = `The 3D player and the plots do not work in this browser: ${error.message}`;
  problem.hidden = false;
  document.querySelectorAll('.track').forEach(article => { article.hidden = false; });
  throw error;
});
