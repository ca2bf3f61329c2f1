# Few-shot adaptation of the open VIBE, as in the thesis: what is over time learns, the image network behind it stays.
# Shots are clips of 16 frames; the source is what VIBE was trained on. The rate was chosen on seeds 100 and 101.
_base_ = ['../_base_/default_runtime.py', '../_base_/estimators/vibe_open.py', '../_base_/datasets/open_wild.py',
          '../_base_/datasets/open_shots.py']

adapter = dict(
    type='FewShotMetric', shots=48, clip=16, labelled={{_base_._labelled}}, parameters='network',
    source=dict(batch=4, pool=64, dataset=dict(type='OpenTracks', length=64, seed=1000)),  # tracks of 32 frames
    batch=8, steps=120, lr=1e-4, schedule='linear', variant='thesis', weights=dict(metric=1.0))
