# A small network of HMR2.0's class: ViT of 6 blocks of width 192 on 112 x 84 px, decoder of 2 layers, 4.3 M parameters.
estimator = dict(
    type='HMR2',
    backbone=dict(type='ViT', image_size=(112, 84), patch=14, width=192, depth=6, heads=3),
    head=dict(type='TransformerDecoderHead', width=256, depth=2, heads=4, hidden=512),
    resolution=112,
    weights_body='open',
    body=dict(type='BodyModel', file='open'))
