'use strict';

const VIEWS = {front: [-90, 4], side: [0, 4], back: [90, 4], above: [-90, 80]};  // azimuth and height in degrees
const GRID = 0.001;  // metres, as the meshes were packed
const color = name => getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim();
const dark = matchMedia('(prefers-color-scheme: dark)');

/** base64 of gzip -> bytes. */
async function inflate(text) {
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Packed meshes of some frames -> for every frame an Int16Array of x, y, z of all vertices, on the grid. */
function unpack(bytes, frames) {
  const numbers = bytes.length / 2, each = numbers / frames, places = new Int16Array(numbers);
  for (let k = 0; k < numbers; k++) {
    const step = bytes[k] | bytes[numbers + k] << 8;  // an Int16Array wraps it to its sign
    places[k] = k < each ? step : step + places[k - each];
  }
  return Array.from({length: frames}, (_, t) => places.subarray(t * each, (t + 1) * each));
}

/** Smallest and largest value along each axis over all frames of all bodies, in metres. */
function bounds(bodies) {
  const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
  for (const frames of bodies) for (const places of frames) {
    for (let k = 0; k < places.length; k++) {
      const axis = k % 3, value = places[k] * GRID;
      if (value < low[axis]) low[axis] = value;
      if (value > high[axis]) high[axis] = value;
    }
  }
  return {low, high};
}

class Track {
  constructor(article, common) {
    this.article = article;
    this.common = common;
    this.find = name => article.querySelector(name);
    this.data = JSON.parse(this.find('.data').textContent);
    this.count = this.data.shown.length;
    this.at = 0;
    this.playing = false;
    this.video = this.find('video');
    this.picture = this.find('img.film');
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
    find('.error').onchange = () => { this.drawErrors(); this.say(); };
    find('.together').onchange = () => this.drawBodies();
    for (const button of this.article.querySelectorAll('[data-view]'))
      button.onclick = () => this.look(...VIEWS[button.dataset.view]);
    for (const button of this.article.querySelectorAll('.seek'))
      button.onclick = () => { this.pause(); this.seek(+button.dataset.at); find('.bar').scrollIntoView(); };
    find('.scene').onkeydown = event => this.turn(event);
    find('.shapes').replaceChildren(...this.roles.map(role => this.rowSwitch(role)));
    if (this.video) {
      this.video.controls = false;
      this.video.onclick = () => find('.play').click();
      this.video.onerror = () => {
        find('.views figcaption').append(' This browser cannot play the film.');
        this.video = null;
      };
    }
  }

  rowSwitch(role) {
    const label = document.createElement('label'), box = document.createElement('input');
    const dot = document.createElement('span');
    box.type = 'checkbox';
    box.checked = true;
    box.onchange = () => {
      this.hiddenRoles[box.checked ? 'delete' : 'add'](role);
      this.drawBodies();
    };
    dot.className = 'dot';
    dot.style.background = `var(--skin-${role})`;
    label.append(box, ' ', dot, this.common.rows[role] || role);
    return label;
  }

  async show() {
    this.article.hidden = false;
    if (!this.bodies) {
      const packed = [...this.article.querySelectorAll('.mesh')];
      const bytes = await Promise.all(packed.map(element => inflate(element.textContent)));
      this.bodies = bytes.map(part => unpack(part, this.count));
      this.box = bounds(this.bodies);
    }
    this.drawErrors();
    await this.drawBodies();
    this.seek(this.at);
  }

  hide() {
    this.pause();
    Plotly.purge(this.find('.scene'));  // browsers allow few WebGL contexts
    Plotly.purge(this.find('.plot'));
    this.article.hidden = true;
  }

  play() {
    this.playing = true;
    if (this.at === this.count - 1) this.seek(0);
    if (this.video) this.video.play();
    this.clock = this.at;
    this.last = performance.now();
    this.button();
    requestAnimationFrame(now => this.tick(now));
  }

  pause() {
    if (!this.playing) return;
    this.playing = false;
    if (this.video) {
      this.video.pause();
      this.draw(this.filmFrame());  // drawing bodies may lag behind the film
    }
    this.button();
  }

  filmFrame() {
    return Math.min(this.count - 1, Math.floor(this.video.currentTime * this.data.fps + 0.01));
  }

  button() {
    this.find('.play').textContent = this.playing ? 'Pause' : 'Play';
    this.find('.play').setAttribute('aria-pressed', this.playing);
  }

  /** Follows the film, or a clock where there is none. */
  tick(now) {
    if (!this.playing) return;
    this.clock += (now - this.last) / 1000 * this.data.fps * this.find('.speed').value;
    this.last = now;
    const at = this.video ? this.filmFrame() : Math.floor(this.clock % this.count);
    if (at !== this.at) this.draw(at);
    requestAnimationFrame(next => this.tick(next));
  }

  seek(at) {
    if (this.video) this.video.currentTime = (at + 0.5) / this.data.fps;
    this.draw(at);
  }

  draw(at) {
    this.at = at;
    this.find('.time').value = at;
    if (this.picture) this.picture.src = this.data.pictures[at];
    this.say();
    if (this.find('.scene').data) Plotly.restyle(this.find('.scene'), this.places());
    if (this.find('.plot').data) {
      const x = this.data.shown[at];
      Plotly.relayout(this.find('.plot'), {'shapes[0].x0': x, 'shapes[0].x1': x});
    }
  }

  say() {
    const frame = this.data.shown[this.at], name = this.find('.error').value;
    const known = Object.entries(this.data.errors[name] || {}).filter(([, values]) => values[frame] !== null);
    const errors = known.map(([role, values]) => `${this.common.rows[role]} ${values[frame].toFixed(1)}`).join(', ');
    const text = `frame ${frame} of ${this.data.frameIds.length} (${this.data.frameIds[frame]})`
      + (errors && ` · ${name}: ${errors}`);
    this.find('.now').textContent = text;
    this.find('.time').setAttribute('aria-valuetext', text);
  }

  visible() {
    return this.roles.map(role => !this.hiddenRoles.has(role));
  }

  /** Distance between neighbours in metres, and the place of each body; those that are hidden leave no gap. */
  spots() {
    const step = this.find('.together').checked ? 0 : 0.75 * (this.box.high[0] - this.box.low[0]);
    let used = 0;
    return this.visible().map(seen => step * (seen ? used++ : 0));
  }

  /** The vertices of the current frame. Plotly's z is up: x, y, z of a body become x, -z, y. */
  places() {
    const spots = this.spots(), found = {x: [], y: [], z: []};
    this.bodies.forEach((frames, row) => {
      const places = frames[this.at], length = places.length / 3;
      const x = new Float32Array(length), y = new Float32Array(length), z = new Float32Array(length);
      for (let k = 0; k < length; k++) {
        x[k] = places[3 * k] * GRID + spots[row];
        y[k] = -places[3 * k + 2] * GRID;
        z[k] = places[3 * k + 1] * GRID;
      }
      found.x.push(x);
      found.y.push(y);
      found.z.push(z);
    });
    return found;
  }

  drawBodies() {
    const {low, high} = this.box, {x, y, z} = this.places(), seen = this.visible(), spots = this.spots();
    const [i, j, k] = [0, 1, 2].map(corner => this.common.faces.map(face => face[corner]));
    const light = {ambient: 0.45, diffuse: 0.75, specular: 0.12, roughness: 0.6, fresnel: 0.05};
    const bodies = this.roles.map((role, row) => ({
      type: 'mesh3d', name: this.common.rows[role] || role, x: x[row], y: y[row], z: z[row], i, j, k,
      color: color(`skin-${role}`), lighting: light, lightposition: {x: -2000, y: -4000, z: 4000}, hoverinfo: 'skip',
      flatshading: false, visible: seen[row]}));
    const ranges = [[low[0], high[0] + Math.max(...spots)], [-high[2], -low[2]], [low[1], high[1]]];
    const sides = ranges.map(([from, to]) => Math.max(to - from, 0.01));
    const axis = range => ({range, autorange: false, visible: false});
    const scene = this.find('.scene'), aspect = scene.clientWidth / scene.clientHeight;
    const unit = Math.max(sides[0] / (1.05 * aspect), 1.1 * sides[2]);  // metres to the unit of Plotly's camera
    const ratio = {x: sides[0] / unit, y: sides[1] / unit, z: sides[2] / unit};
    this.camera = this.camera || {azimuth: VIEWS.front[0], height: VIEWS.front[1], distance: 1.3};
    return Plotly.react(scene, bodies, {
      margin: {l: 0, r: 0, t: 0, b: 0}, paper_bgcolor: color('paper'), showlegend: false,
      scene: {xaxis: axis(ranges[0]), yaxis: axis(ranges[1]), zaxis: axis(ranges[2]), aspectmode: 'manual',
        aspectratio: ratio, dragmode: 'turntable', camera: {...this.eye(), center: {x: 0, y: 0, z: 0}}},
    }, {displaylogo: false, displayModeBar: false, responsive: true, scrollZoom: true}).then(plot => {
      plot.removeAllListeners('plotly_relayout');
      plot.on('plotly_relayout', change => this.dragged(change['scene.camera']));
    });
  }

  eye() {
    const {azimuth, height, distance} = this.camera, [a, h] = [azimuth, height].map(angle => angle * Math.PI / 180);
    const flat = distance * Math.cos(h);
    return {eye: {x: flat * Math.cos(a), y: flat * Math.sin(a), z: distance * Math.sin(h)}, up: {x: 0, y: 0, z: 1}};
  }

  dragged(camera) {
    if (!camera) return;
    const {x, y, z} = camera.eye, distance = Math.hypot(x, y, z);
    this.camera = {azimuth: Math.atan2(y, x) * 180 / Math.PI, height: Math.asin(z / distance) * 180 / Math.PI,
      distance};
  }

  look(azimuth, height, distance = this.camera.distance) {
    this.camera = {azimuth, height: Math.max(-85, Math.min(85, height)), distance};
    Plotly.relayout(this.find('.scene'), {'scene.camera': {...this.eye(), center: {x: 0, y: 0, z: 0}}});
  }

  turn(event) {
    const {azimuth, height, distance} = this.camera;
    const moves = {ArrowLeft: [-10, 0, 1], ArrowRight: [10, 0, 1], ArrowUp: [0, 10, 1], ArrowDown: [0, -10, 1],
      '+': [0, 0, 0.9], '-': [0, 0, 1 / 0.9]};
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    this.look(azimuth + move[0], height + move[1], distance * move[2]);
  }

  drawErrors() {
    const name = this.find('.error').value, {rows} = this.common;
    const lines = Object.entries(this.data.errors[name] || {}).map(([role, y]) => ({
      type: 'scatter', mode: y.length > 1 ? 'lines' : 'markers', name: rows[role], y, text: this.data.frameIds,
      line: {color: color(role), width: 2, dash: role === 'before' ? 'dot' : 'solid'},
      hovertemplate: `%{y:.1f} (%{text})<extra>${rows[role].replace(/[<>&]/g, '')}</extra>`}));
    const grid = {gridcolor: color('line'), linecolor: color('line'), zeroline: false};
    const x = this.data.shown[this.at];
    Plotly.react(this.find('.plot'), lines, {
      margin: {l: 56, r: 12, t: 28, b: 40}, paper_bgcolor: color('card'), plot_bgcolor: color('card'),
      font: {color: color('ink'), size: 13}, hovermode: 'x unified', showlegend: true,
      hoverlabel: {bgcolor: color('paper'), bordercolor: color('line'), font: {color: color('ink')}},
      legend: {orientation: 'h', x: 0, y: 1.16},
      xaxis: {...grid, title: {text: 'frame'}}, yaxis: {...grid, title: {text: name}, rangemode: 'tozero'},
      shapes: [{type: 'line', x0: x, x1: x, y0: 0, y1: 1, yref: 'paper', line: {color: color('ink'), width: 1}}],
    }, {displaylogo: false, displayModeBar: false, responsive: true}).then(plot => {
      plot.removeAllListeners('plotly_click');
      plot.on('plotly_click', event => { this.pause(); this.seek(this.nearest(event.points[0].x)); });
    });
  }

  nearest(frame) {
    const far = this.data.shown.map(shown => Math.abs(shown - frame));
    return far.indexOf(Math.min(...far));
  }
}

async function start() {
  const common = JSON.parse(document.getElementById('common').textContent);
  const tracks = [...document.querySelectorAll('.track')].map(article => new Track(article, common));
  const chosen = document.getElementById('chosen');
  tracks.forEach(track => { track.article.hidden = true; });
  const script = document.createElement('script');
  script.textContent = new TextDecoder().decode(await inflate(document.getElementById('plotly').textContent));
  document.head.append(script);
  let current = null;
  const choose = async () => {
    if (current) current.hide();
    current = tracks[+chosen.value];
    if (current) await current.show();
  };
  chosen.onchange = choose;
  const redraw = () => { if (current) { current.drawErrors(); current.drawBodies(); } };
  dark.addEventListener('change', redraw);
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
