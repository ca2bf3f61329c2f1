# The thesis' network on 3DPW: SPIN's backbone times foreground features of HRNet-W48-OCR at 520 px, then VIBE. Set the
# weights of your own trainings: of the segmenter (hrnet_w48_3dhp.py), and of F_d and VIBE behind the frozen SPIN.
_base_ = ['../_base_/default_runtime.py', '../_base_/estimators/spin.py', '../_base_/datasets/threedpw_vibe.py']

estimator = dict(
    _delete_=True, type='VideoHMR',
    image=dict(type='ForegroundHMR', fusion='mul', size=520, threshold=0.2, frozen=('backbone', 'head'),
               segmenter=dict(type='HRNetOCR', weights='data/foreground/hrnet_w48.pt'),
               reducer=dict(type='ResNet', depth=50), start='data/spin/model_checkpoint.pt',
               weights='data/foreground/reducer.pt'),
    network=dict(type='VIBE', weights='data/foreground/vibe.pt'), window=16,
    body=_base_.estimator.body)
adapter = dict(type='Source')
