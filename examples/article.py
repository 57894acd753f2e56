"""The article's training script. One import is changed: `torch.optim` became `momentumlab.optimizers`."""

import torch
import torch.nn as nn

import momentumlab.optimizers as optim

torch.manual_seed(0)  # the article sets no seed; with this one the numbers are those of configs/linreg.yaml

# 创建简单数据
X = torch.randn(100, 1)
y = 2 * X + 1 + 0.1 * torch.randn(100, 1)

# 定义模型
model = nn.Linear(1, 1)

# 带动量的 SGD 优化器
optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
criterion = nn.MSELoss()

# 训练循环
for epoch in range(100):
    # 前向传播
    pred = model(X)
    loss = criterion(pred, y)

    # 反向传播
    optimizer.zero_grad()  # 清零梯度
    loss.backward()  # 计算梯度
    optimizer.step()  # 更新参数(使用动量)

    if (epoch + 1) % 20 == 0:
        print(f"Epoch [{epoch + 1}/100], Loss: {loss.item():.4f}")

print(f"\n学到的参数: w = {model.weight.item():.4f}, b = {model.bias.item():.4f}")
print("真实参数: w = 2.0000, b = 1.0000")
