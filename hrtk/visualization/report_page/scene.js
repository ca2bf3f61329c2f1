'use strict';

const LOOKS = {  // azimuth and elevation in degrees, and what fills the view
  scene: [-32, 13, 'all'], front: [-90, 4, 'people'], side: [0, 4, 'people'], back: [90, 4, 'people'],
  above: [-90, 80, 'people'],  // the people of the current frame
};
const TURNS = {  // change of azimuth and elevation in degrees, factor on the distance
  ArrowLeft: [-10, 0, 1], ArrowRight: [10, 0, 1], ArrowUp: [0, 10, 1], ArrowDown: [0, -10, 1],
  '+': [0, 0, 0.9], '-': [0, 0, 1 / 0.9],
};
const GRID = 0.001;  // metres, as the meshes were packed
const MARGIN = [0.7, 1.1, 0.7];  // metres of a body around its pelvis
const DISTANCE = 1.3;  // of Plotly's camera, at which one unit fills the height of the view
const MOST_SQUARES = 30;  // of the floor's grid, along each side
const DEGREE = Math.PI / 180;
const LIGHTING = {ambient: 0.7, diffuse: 0.5, specular: 0.12, roughness: 0.6, fresnel: 0.05};
const cssColor = name => getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim();
const toPlotly = ([x, y, z]) => [x, -z, y];  // Plotly's z is up

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

/** Smallest and largest x, y, z of points. */
class Box {
  constructor() {
    this.low = [Infinity, Infinity, Infinity];
    this.high = [-Infinity, -Infinity, -Infinity];
  }

  add(point, margin = [0, 0, 0]) {
    for (let axis = 0; axis < 3; axis++) {
      this.low[axis] = Math.min(this.low[axis], point[axis] - margin[axis]);
      this.high[axis] = Math.max(this.high[axis], point[axis] + margin[axis]);
    }
    return this;
  }

  get middle() {
    return this.low.map((low, axis) => (low + this.high[axis]) / 2);
  }

  get lengths() {
    return this.low.map((low, axis) => Math.max(this.high[axis] - low, 0.01));
  }
}

/** The packed bodies of all tracks, unpacked once. */
class BodyStore {
  constructor(elements) {
    this.elements = new Map(elements.map(element => [`${element.dataset.track} ${element.dataset.role}`, element]));
    this.unpacked = new Map();
  }

  async frames(body) {
    const key = `${body.track} ${body.role}`;
    if (!this.unpacked.has(key)) {
      const element = this.elements.get(key);
      this.unpacked.set(key, unpack(await inflate(element.textContent), +element.dataset.frames));
    }
    return this.unpacked.get(key);
  }
}

/** The 3D player of one view: bodies in their scene with floor and camera, or next to each other. */
class Scene {
  constructor(div, data, faces, placesOf) {
    this.div = div;
    this.bodies = data.bodies;
    this.places = data.bodies.map(placesOf);
    this.stage = data.stage;
    this.corners = [0, 1, 2].map(corner => faces.map(face => face[corner]));
    this.hidden = {scene: new Set(this.bodies.some(body => body.key === 'after') ? ['before', 'truth'] : ['truth']),
      side: new Set(), spot: new Set()};
    this.arrangement = this.stage ? 'scene' : 'side';
    this.index = 0;
    div.onkeydown = event => this.onKey(event);
  }

  async load(store) {
    if (this.frames) return;
    this.frames = await Promise.all(this.bodies.map(body => store.frames(body)));
    this.own = new Box();  // of the bodies alone, about their pelvis
    this.frames.forEach((frames, row) => {
      if (this.bodies[row].key === 'others') return;
      for (const positions of frames)
        for (let k = 0; k < positions.length; k += 3)
          this.own.add([positions[k] * GRID, positions[k + 1] * GRID, positions[k + 2] * GRID]);
    });
    if (this.stage) this.measureStage();
  }

  /** The box of camera, floor and people in all frames. */
  measureStage() {
    this.all = new Box().add(this.stage.camera, [0.2, 0.2, 0.2]);
    for (const corner of this.stage.corners) this.all.add(corner);
    for (const path of this.places) for (const place of path) this.all.add(place, MARGIN);
    this.all.low[1] = Math.min(this.all.low[1], this.stage.floor);
  }

  /** The box of the people of the view in the current frame, or of all frames if they are absent. */
  peopleNow() {
    const box = new Box();
    this.bodies.forEach((body, row) => {
      const at = body.at[this.index];
      if (at >= 0 && body.key !== 'others') box.add(this.places[row][at], MARGIN);
    });
    return Number.isFinite(box.low[0]) ? box : this.all;
  }

  isHidden(key) {
    return this.hidden[this.arrangement].has(key);
  }

  hide(key, hidden) {
    if (hidden) this.hidden[this.arrangement].add(key);
    else this.hidden[this.arrangement].delete(key);
    this.draw();
  }

  arrange(arrangement) {
    this.arrangement = arrangement;
    this.view = null;
    this.draw();
  }

  /** Whether each body is drawn at the current frame. */
  visibilities() {
    return this.bodies.map(body => body.at[this.index] >= 0 && !this.isHidden(body.key)
      && (this.arrangement === 'scene' || body.key !== 'others'));
  }

  /** Horizontal offset of each body in metres where bodies stand side by side; hidden bodies leave no gap. */
  offsets() {
    const step = this.arrangement === 'side' ? 0.75 * this.own.lengths[0] : 0;
    let count = 0;
    return this.bodies.map(body => step * (this.isHidden(body.key) || body.key === 'others' ? 0 : count++));
  }

  /** The vertices of all bodies at the current frame in Plotly's axes. */
  vertices() {
    const result = {x: [], y: [], z: []};
    const offsets = this.offsets();
    this.bodies.forEach((body, row) => {
      const at = Math.max(body.at[this.index], 0);
      const positions = this.frames[row][at];
      const count = positions.length / 3;
      const [x, y, z] = [0, 1, 2].map(() => new Float32Array(count));
      let level = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
      let place = [offsets[row], 0, 0];
      if (this.arrangement === 'scene') {
        level = this.stage.level;
        place = this.places[row][at];
      }
      const rows = level.map(row => row.map(value => value * GRID));
      for (let k = 0; k < count; k++) {
        const [a, b, c] = [positions[3 * k], positions[3 * k + 1], positions[3 * k + 2]];
        x[k] = rows[0][0] * a + rows[0][1] * b + rows[0][2] * c + place[0];
        z[k] = rows[1][0] * a + rows[1][1] * b + rows[1][2] * c + place[1];
        y[k] = -(rows[2][0] * a + rows[2][1] * b + rows[2][2] * c + place[2]);
      }
      result.x.push(x);
      result.y.push(y);
      result.z.push(z);
    });
    return result;
  }

  /** Moves the bodies to a frame. */
  show(index) {
    this.index = index;
    if (!this.div.data) return;
    const rows = this.bodies.map((_, row) => row);
    Plotly.restyle(this.div, {...this.vertices(), visible: this.visibilities()}, rows);
  }

  draw() {
    const {x, y, z} = this.vertices();
    const visible = this.visibilities();
    const [i, j, k] = this.corners;
    const traces = this.bodies.map((body, row) => ({
      type: 'mesh3d', name: body.name, x: x[row], y: y[row], z: z[row], i, j, k, color: cssColor(body.color),
      lighting: LIGHTING, lightposition: {x: -2000, y: -4000, z: 4000}, hoverinfo: 'skip', visible: visible[row],
    }));
    if (this.arrangement === 'scene') traces.push(...this.surroundings());
    const layout = {
      margin: {l: 0, r: 0, t: 0, b: 0}, paper_bgcolor: cssColor('paper'), showlegend: false, scene: this.layout(),
    };
    const options = {displaylogo: false, displayModeBar: false, responsive: true, scrollZoom: true};
    return Plotly.react(this.div, traces, layout, options).then(plot => {
      plot.removeAllListeners('plotly_relayout');
      plot.on('plotly_relayout', change => this.onDrag(change['scene.camera']));
    });
  }

  /** The floor with its grid, and the camera with what it sees. */
  surroundings() {
    const {floor, camera, corners} = this.stage;
    const [low, high] = [this.all.low, this.all.high].map(point => [point[0], point[2]]);
    const step = Math.ceil(Math.max(high[0] - low[0], high[1] - low[1]) / MOST_SQUARES);  // metres
    const [x0, z0] = low.map(value => Math.floor(value / step) * step);
    const [x1, z1] = high.map(value => Math.ceil(value / step) * step);
    this.floorBox = [x0, x1, z0, z1];
    const square = [[x0, floor, z0], [x1, floor, z0], [x1, floor, z1], [x0, floor, z1]].map(toPlotly);
    const lines = [];
    for (let value = x0; value <= x1 + 1e-6; value += step) lines.push([[value, floor, z0], [value, floor, z1]]);
    for (let value = z0; value <= z1 + 1e-6; value += step) lines.push([[x0, floor, value], [x1, floor, value]]);
    const rays = corners.map(corner => [camera, corner]);
    const edges = corners.map((corner, k) => [corner, corners[(k + 1) % corners.length]]);
    const roof = [0, 1, 2].map(axis => 0.6 * (corners[0][axis] + corners[1][axis])
      - 0.1 * (corners[2][axis] + corners[3][axis]));
    const top = [[corners[0], roof], [roof, corners[1]]];  // tells up from down
    return [
      {type: 'mesh3d', ...this.coordinates(square), i: [0, 0], j: [1, 2], k: [2, 3], color: cssColor('ground'), opacity: 0.6,
        lighting: {ambient: 1, diffuse: 0, specular: 0, fresnel: 0}, hoverinfo: 'skip'},
      this.lineTrace(lines, 'grid', 1),
      this.lineTrace([...rays, ...edges, ...top], 'camera', 3),
    ];
  }

  lineTrace(lines, color, width) {
    const points = lines.flatMap(line => [...line.map(toPlotly), [null, null, null]]);
    return {type: 'scatter3d', mode: 'lines', ...this.coordinates(points), line: {color: cssColor(color), width},
      hoverinfo: 'skip', connectgaps: false};
  }

  coordinates(points) {
    return {x: points.map(point => point[0]), y: points.map(point => point[1]), z: points.map(point => point[2])};
  }

  /** Plotly's axes and camera. Its camera is given in units about the middle of the axes' ranges. */
  layout() {
    const box = new Box();
    if (this.arrangement === 'scene') {
      const [x0, x1, z0, z1] = this.floorBox;
      box.add([x0, this.stage.floor - 0.05, z0]).add([x1, this.all.high[1], z1]);
      box.add(this.all.low).add(this.all.high);
    } else {
      box.add(this.own.low).add(this.own.high);
      box.high[0] += Math.max(...this.offsets());
    }
    const aspect = this.div.clientWidth / this.div.clientHeight;
    const [low, high] = [toPlotly(box.low), toPlotly(box.high)];
    const lengths = low.map((value, axis) => Math.max(Math.abs(high[axis] - value), 0.01));
    this.middle = toPlotly(box.middle);
    this.fit = shown => {  // metres that the height of the view shows
      const [width, height, depth] = shown.lengths;
      if (this.arrangement !== 'scene') return Math.max(width / (1.05 * aspect), 1.1 * height);
      return Math.max(Math.hypot(width, depth) / (1.15 * aspect), 1.1 * height);
    };
    this.unit = this.fit(this.arrangement === 'scene' ? this.all : box);
    if (!this.view) this.setLook(this.arrangement === 'scene' ? 'scene' : 'front');
    const axis = k => ({range: [Math.min(low[k], high[k]), Math.max(low[k], high[k])], autorange: false, visible: false});
    return {
      xaxis: axis(0), yaxis: axis(1), zaxis: axis(2), aspectmode: 'manual',
      aspectratio: {x: lengths[0] / this.unit, y: lengths[1] / this.unit, z: lengths[2] / this.unit},
      dragmode: 'turntable', camera: this.plotlyCamera(),
    };
  }

  setLook(name) {
    const [azimuth, elevation, filling] = LOOKS[name];
    let centre = this.middle;
    let distance = DISTANCE;
    if (this.arrangement === 'scene') {
      const shown = filling === 'all' ? this.all : this.peopleNow();
      centre = toPlotly(shown.middle);
      distance *= this.fit(shown) / this.unit;
    }
    this.view = {azimuth, elevation, distance, centre: centre.map((value, k) => (value - this.middle[k]) / this.unit)};
  }

  look(name) {
    this.setLook(name);
    Plotly.relayout(this.div, {'scene.camera': this.plotlyCamera()});
  }

  plotlyCamera() {
    const {distance, centre} = this.view;
    const azimuth = this.view.azimuth * DEGREE;
    const elevation = this.view.elevation * DEGREE;
    const horizontal = distance * Math.cos(elevation);
    const eye = {
      x: centre[0] + horizontal * Math.cos(azimuth), y: centre[1] + horizontal * Math.sin(azimuth),
      z: centre[2] + distance * Math.sin(elevation),
    };
    return {eye, up: {x: 0, y: 0, z: 1}, center: {x: centre[0], y: centre[1], z: centre[2]}};
  }

  onDrag(camera) {
    if (!camera) return;
    const centre = [camera.center.x, camera.center.y, camera.center.z];
    const [x, y, z] = [camera.eye.x - centre[0], camera.eye.y - centre[1], camera.eye.z - centre[2]];
    const distance = Math.hypot(x, y, z);
    this.view = {azimuth: Math.atan2(y, x) / DEGREE, elevation: Math.asin(z / distance) / DEGREE, distance, centre};
  }

  onKey(event) {
    const change = TURNS[event.key];
    if (!change) return;
    event.preventDefault();
    event.stopPropagation();
    const {azimuth, elevation, distance, centre} = this.view;
    const turned = Math.max(-85, Math.min(85, elevation + change[1]));
    this.view = {azimuth: azimuth + change[0], elevation: turned, distance: distance * change[2], centre};
    Plotly.relayout(this.div, {'scene.camera': this.plotlyCamera()});
  }
}
